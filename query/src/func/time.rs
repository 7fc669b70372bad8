//! Parts of a date, in UTC, from seconds since 1970; by the civil calendar's arithmetic.

/// Year, month, day of a second.
fn civil(seconds: f64) -> (i64, i64, i64) {
    let days = (seconds as i64).div_euclid(86_400);
    // Counted from 1 March of year 0, so that a leap day is the last of its year.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Milliseconds as `2006-01-02T15:04:05Z`, what is below a second left out.
pub(crate) fn rfc3339(millis: i64) -> String {
    let seconds = millis / 1000;
    let (year, month, day) = civil(seconds as f64);
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

pub(crate) fn year(t: f64) -> f64 {
    civil(t).0 as f64
}

pub(crate) fn month(t: f64) -> f64 {
    civil(t).1 as f64
}

pub(crate) fn day_of_month(t: f64) -> f64 {
    civil(t).2 as f64
}

pub(crate) fn days_in_month(t: f64) -> f64 {
    let (year, month, _) = civil(t);
    length(year, month) as f64
}

pub(crate) fn day_of_year(t: f64) -> f64 {
    let (year, month, day) = civil(t);
    ((1..month).map(|m| length(year, m)).sum::<i64>() + day) as f64
}

/// Sunday is 0.
pub(crate) fn day_of_week(t: f64) -> f64 {
    ((t as i64).div_euclid(86_400) + 4).rem_euclid(7) as f64
}

pub(crate) fn hour(t: f64) -> f64 {
    ((t as i64).rem_euclid(86_400) / 3600) as f64
}

pub(crate) fn minute(t: f64) -> f64 {
    ((t as i64).rem_euclid(3600) / 60) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_seconds() {
        // 2024-02-29 12:34:56, a Thursday; 1969-12-31 23:59:59, a Wednesday.
        let cases = [
            (1_709_210_096.0, [2024.0, 2.0, 29.0, 29.0, 60.0, 4.0, 12.0, 34.0]),
            (-1.0, [1969.0, 12.0, 31.0, 31.0, 365.0, 3.0, 23.0, 59.0]),
        ];
        for (t, want) in cases {
            let all =
                [year, month, day_of_month, days_in_month, day_of_year, day_of_week, hour, minute];
            assert_eq!(all.map(|f| f(t)), want, "{t}");
        }
    }
}
