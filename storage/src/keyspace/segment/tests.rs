//! Whatever a list holds comes back from its segments.

use proptest::prelude::*;

use super::*;

fn packed(elements: &[Vec<u8>]) -> Packed {
    elements.iter().map(Vec::as_slice).collect()
}

/// Seals, shows all and some, and goes through its bytes.
fn check(elements: &[Vec<u8>]) -> Segment {
    let segment = Arc::new(Segment::new(&packed(elements)));
    let again = Arc::new(Segment::decode(segment.bytes()).unwrap());
    for segment in [&segment, &again] {
        assert_eq!(segment.len(), elements.len());
        for range in [0..elements.len(), elements.len() / 3..elements.len() / 2] {
            let mut seen = Vec::new();
            segment.visit(range.clone(), &mut |element| seen.push(element.to_vec()));
            assert_eq!(seen, elements[range.clone()]);
            let mut spelled = Bulks::default();
            segment.spell(range, &mut spelled);
            assert_eq!(spelled, seen.iter().map(Vec::as_slice).collect());
        }
    }
    drop(again);
    Arc::try_unwrap(segment).unwrap_or_else(|shared| Segment::decode(shared.bytes()).unwrap())
}

/// Such a number once ended the connection that pushed it.
#[test]
fn numbers_too_large_for_64_bits_come_back() {
    let texts = ["12", "0", "9223372036854775808", "99999999999999999999999", "32767"];
    check(&texts.map(|text| text.as_bytes().to_vec()));
}

fn losses(n: usize) -> Vec<Vec<u8>> {
    let element = |i: usize| {
        let value = 2.3 * (-(i as f64) / 3000.0).exp() + (i * 7919 % 400) as f64 / 1e4;
        let value = (value * 1e4).round() / 1e4;
        let (minute, second) = (i * 2 / 60, i * 2 % 60);
        format!(
            r#"{{"step":{i},"value":{value},"timestamp":"2026-01-01T{:02}:{:02}:{second:02}Z"}}"#,
            minute / 60,
            minute % 60
        )
        .into_bytes()
    };
    (0..n).map(element).collect()
}

#[test]
fn the_elements_of_a_training_run_take_two_bytes_each() {
    let elements = losses(1024);
    let segment = check(&elements);
    let raw: usize = elements.iter().map(Vec::len).sum();
    assert!(raw > 60_000 && segment.bytes().len() < 2_100, "{} of {raw}", segment.bytes().len());
}

#[test]
fn mixed_and_shapeless_elements_come_back() {
    let mut elements = losses(40);
    elements.extend([
        Vec::new(),
        b"plain".to_vec(),
        vec![0, 255, 34, 92],
        br#"{"taskId":"task-7","agent":"a","duration":12.5,"timestamp":"2026-01-01T00:00:00Z"}"#
            .to_vec(),
        br#"{"open": "x\""#.to_vec(),
        b"12".to_vec(),
        b"1e5".to_vec(),
    ]);
    elements.extend((0..20_u8).map(|i| format!("{}{}", "x".repeat(i.into()), i).into_bytes()));
    elements.extend((0..20_u8).map(|i| vec![b'['; i.into()].into_iter().chain(*b"1]").collect()));
    check(&elements);
    check(&[]);
    check(&[Vec::new(), Vec::new()]);
}

#[test]
fn random_bytes_cost_little_more_than_themselves() {
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let elements: Vec<Vec<u8>> = (0..100).map(|_| (0..40).map(|_| byte()).collect()).collect();
    assert!(check(&elements).bytes().len() < 4_000 + 20);
}

/// Texts near the edges of what columns take.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        (any::<i32>(), 0..6_usize).prop_map(|(n, d)| format!("{:.d$}", f64::from(n) / 1e3)),
        (0..100_000_u32, 1..8_usize).prop_map(|(n, w)| format!("{n:0w$}")),
        (0..4_000_000_000_i64).prop_map(|n| format!("\"{}\"", n)),
        (1..10_000_u32, 1..14_u32, 1..33_u32, 0..8_usize)
            .prop_map(|(y, m, d, f)| format!("\"{y:04}-{m:02}-{d:02}T01:02:03.{:0f$}Z\"", 0)),
        "[a-z]{0,5}-[0-9]{0,20}".prop_map(|s| format!("\"{s}\"")),
        "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_comes_comes_back(
        rows in prop::collection::vec((0..3_u8, field(), field()), 0..60)
    ) {
        let elements: Vec<Vec<u8>> = rows.into_iter().map(|(shape, a, b)| match shape {
            0 => format!(r#"{{"a":{a},"b":{b}}}"#).into_bytes(),
            1 => format!("{a} {b}").into_bytes(),
            _ => a.into_bytes(),
        }).collect();
        check(&elements);
    }

    #[test]
    fn no_bytes_make_it_panic(at in any::<prop::sample::Index>(), bit in 0..8_u8, n in 1..80_usize) {
        let mut bytes = Segment::new(&packed(&losses(n))).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(segment) = Segment::decode(&bytes) {
            Arc::new(segment).visit(0..n, &mut |_| {});
        }
        let _ = Segment::decode(&bytes[..at]);
    }
}
