//! Recorded links in mahimahi's format: a line for each moment, in milliseconds, at which 1500 bytes may leave. The
//! file repeats from its last line on.

/// Bytes that one line lets through: an Ethernet frame's payload, as in mahimahi.
pub const OPPORTUNITY: usize = 1500;
/// A day at 200 Mbit/s has 1.4 billion lines; an hour of LTE far less than this.
const LINES: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub name: String,
    /// Milliseconds from the start, never falling; the last is above 0 and the length of a round.
    moments: Vec<u32>,
}

impl Trace {
    pub fn parse(name: &str, text: &str) -> Result<Trace, String> {
        let mut moments: Vec<u32> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let at = |why: &str| format!("{name}, line {}: {why}", number + 1);
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let shown: String = line.chars().take(20).collect();
            let moment = line.parse().map_err(|_| at(&format!("`{shown}` is not a time in milliseconds")))?;
            if moments.last().is_some_and(|&last| moment < last) {
                return Err(at(&format!("{moment} ms comes after a later time")));
            }
            if moments.len() == LINES {
                return Err(at(&format!("traces have {LINES} lines at most")));
            }
            moments.push(moment);
        }
        match moments.last() {
            None => Err(format!("{name} is empty: a trace has a line for each 1500 bytes, its time in milliseconds")),
            Some(0) => Err(format!("{name} ends at 0 ms: the last line is the length of the trace")),
            Some(_) => Ok(Trace { name: name.to_string(), moments }),
        }
    }

    /// How long a round is, in nanoseconds.
    pub fn length(&self) -> i64 {
        i64::from(self.moments.last().copied().unwrap_or(1)) * 1_000_000
    }

    /// The moment of a line, in nanoseconds from the start of a round; none behind the last.
    pub fn moment(&self, line: usize) -> Option<i64> {
        self.moments.get(line).map(|&ms| i64::from(ms) * 1_000_000)
    }

    /// The first line at or after so many nanoseconds.
    pub fn line_at(&self, time: i64) -> usize {
        self.moments.partition_point(|&ms| i64::from(ms) * 1_000_000 < time)
    }

    /// Bits a second over a whole round.
    pub fn mean(&self) -> u64 {
        let bits = (self.moments.len() * OPPORTUNITY * 8) as f64;
        ((bits * 1e9 / self.length() as f64) as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_millisecond_is_12_megabit() {
        let text: String = (1..=100).map(|ms| format!("{ms}\n")).collect();
        let trace = Trace::parse("t", &text).unwrap();
        assert_eq!((trace.mean(), trace.length(), trace.line_at(5_000_001)), (12_000_000, 100_000_000, 5));
    }

    #[test]
    fn errors_name_the_line() {
        assert!(Trace::parse("t", "").unwrap_err().contains("t is empty"));
        assert!(Trace::parse("t", "0\n0\n").unwrap_err().contains("ends at 0 ms"));
        assert_eq!(Trace::parse("t", "5\n4\n").unwrap_err(), "t, line 2: 4 ms comes after a later time");
        assert_eq!(Trace::parse("t", "5\n\nx").unwrap_err(), "t, line 3: `x` is not a time in milliseconds");
    }
}
