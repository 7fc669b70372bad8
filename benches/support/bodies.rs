//! Recorded requests from a file, so that other generators' workloads and real exporters' scrapes can be
//! written.

use super::fleet::Request;

/// Requests by connection. Each stands after 24 bytes: its connection at 0, samples at 4, time of the first
/// in ms at 12, length of the body at 20, all little-endian.
pub(crate) fn from_file(path: &str) -> Vec<Vec<Request>> {
    let bytes = std::fs::read(path).expect("the file of RINGWELL_BENCH_BODIES");
    let mut requests: Vec<Vec<Request>> = Vec::new();
    let mut rest = &bytes[..];
    while let Some((header, after)) = rest.split_first_chunk::<24>() {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let (body, next) = after.split_at(word(20) as usize);
        let connection = word(0) as usize;
        if requests.len() <= connection {
            requests.resize_with(connection + 1, Vec::new);
        }
        requests[connection].push(Request { samples: word(4) as usize, body: body.to_vec() });
        rest = next;
    }
    requests
}
