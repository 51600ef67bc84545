//! Calendar time in UTC for clocks on pictures and names of files. Not for arithmetic: that is `clock`.

/// A moment as people write it. Leap seconds do not exist, as in Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub milli: u16,
}

impl Utc {
    /// From microseconds since 1970, as `Time::unix_micros` gives them.
    pub fn of(unix_micros: i64) -> Utc {
        let millis = unix_micros.div_euclid(1000);
        let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = date(days);
        let (seconds, milli) = (rest / 1000, (rest % 1000) as u16);
        let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|n| n as u8);
        Utc { year, month, day, hour, minute, second, milli }
    }

    /// `HH:MM:SS.mmm`
    pub fn clock(self) -> String {
        format!("{:02}:{:02}:{:02}.{:03}", self.hour, self.minute, self.second, self.milli)
    }

    /// `YYYYMMDD-HHMMSS-mmm`, which sorts and suits every file system.
    pub fn stamp(self) -> String {
        let Utc { year, month, day, hour, minute, second, milli } = self;
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{milli:03}")
    }
}

/// Year, month and day of a day counted from 1970: Hinnant's `civil_from_days`, in which a year begins in March and
/// an era is the 146,097 days after which the Gregorian calendar repeats.
fn date(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March; 153 days are any five months from there
    let january = i64::from(month >= 10);
    let (month, day) = (if month < 10 { month + 3 } else { month - 9 }, day - (153 * month + 2) / 5 + 1);
    (era * 400 + year + january, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // By `date -u -d @SECONDS`.
        for (seconds, stamp) in [
            (0, "19700101-000000-007"),
            (951_782_400, "20000229-000000-007"),
            (951_868_800, "20000301-000000-007"),
            (1_763_691_153, "20251121-021233-007"),
            (4_107_542_399, "21000228-235959-007"),
            (-1, "19691231-235959-007"),
        ] {
            assert_eq!(Utc::of(seconds * 1_000_000 + 7_999).stamp(), stamp);
        }
        assert_eq!(Utc::of(1_763_691_153_045_600).clock(), "02:12:33.045");
    }

    #[test]
    fn no_moment_panics() {
        for micros in [i64::MIN, i64::MAX] {
            assert!(!Utc::of(micros).stamp().is_empty());
        }
    }
}
