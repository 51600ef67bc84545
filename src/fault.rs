//! Errors as the user meets them: an exit code, one line, and where it helps a hint.

use std::fmt;

/// Why the program ends, as scripts see it (section "exit codes" of the manual).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Failed = 1,
    Usage = 2,
    Device = 3,
    Refused = 4,
    Timeout = 124,
}

/// An error that knows its exit code; wrap it in further context with anyhow as any other.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    text: String,
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(kind: Kind, text: impl Into<String>) -> Fault {
        Fault { kind, text: text.into(), hint: None }
    }

    /// An exit code for an error that the user has read already.
    pub fn told(kind: Kind) -> Fault {
        Fault::new(kind, "")
    }

    pub fn was_told(&self) -> bool {
        self.text.is_empty()
    }

    pub fn usage(text: impl Into<String>) -> Fault {
        Fault::new(Kind::Usage, text)
    }

    pub fn device(text: impl Into<String>) -> Fault {
        Fault::new(Kind::Device, text)
    }

    pub fn refused(text: impl Into<String>) -> Fault {
        Fault::new(Kind::Refused, text)
    }

    pub fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// An error of opening a device, unless it knows better what it is.
pub fn of_device(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Fault>() {
        Some(_) => error,
        None => Fault::device(line(&error)).into(),
    }
}

/// A fault that came through a stream of bytes as an error of its own: without what is around it.
pub fn bared(error: anyhow::Error) -> anyhow::Error {
    let within = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref());
    match within.and_then(|e| e.downcast_ref::<Fault>()) {
        Some(fault) => fault.clone().into(),
        None => error,
    }
}

/// The chain of an error in one line, system errors without their number: "could not open x: no such file".
pub fn line(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error.chain().map(|e| plain(&e.to_string())).collect();
    parts.join(": ")
}

/// A system error as the end of a sentence: "Device or resource busy (os error 16)" is "device or resource busy".
pub fn plain(text: &str) -> String {
    let text = text.rfind(" (os error ").map_or(text, |at| &text[..at]);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_chain_is_one_line() {
        let busy = std::io::Error::from_raw_os_error(16);
        let error = Err::<(), _>(busy).context("could not open /dev/video0").unwrap_err();
        assert_eq!(line(&error), "could not open /dev/video0: device or resource busy");
    }

    #[test]
    fn the_code_survives_more_context() {
        let error = anyhow::Error::from(Fault::refused("no").hint("ask")).context("on tcp://x");
        assert_eq!(error.downcast_ref::<Fault>().map(|f| f.kind as u8), Some(4));
        assert_eq!(line(&error), "on tcp://x: no");
    }
}
