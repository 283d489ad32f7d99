//! Amounts of memory, in bytes or as a share of what the machine has.
//!
//! In: a setting. Out: bytes. What the machine has is the smaller of its memory and of what its control
//! group allows, as in a container: a share of the host's memory would be more than there is.

use std::fs;

use super::value::SettingValue;

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the machine's memory.
    Percent(u64),
}

impl Memory {
    /// In bytes, on a machine with `machine_bytes`.
    pub fn bytes(self, machine_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => machine_bytes / 100 * percent,
        }
    }
}

impl SettingValue for Memory {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            let bytes = u64::parse(text);
            return bytes.map(Self::Bytes).map_err(|_| {
                format!("{text:?} is neither a number of bytes nor a share of the memory, like 25%")
            });
        };
        match percent.trim_end().parse() {
            Ok(percent @ 0..=90) => Ok(Self::Percent(percent)),
            _ => Err(format!("{text:?} is not a share of the memory from 0% to 90%")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }

    fn number(&self) -> u64 {
        self.bytes(0)
    }
}

/// How much is read before anybody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// What the store finds usual.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl Ahead {
    /// In bytes, if somebody said so.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Auto => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl SettingValue for Ahead {
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let bytes = u64::parse(text).map(Self::Bytes);
        bytes.map_err(|_| format!("{text:?} is neither a number of bytes nor auto"))
    }

    fn show(&self) -> String {
        self.bytes().map_or_else(|| "auto".to_owned(), |bytes| bytes.to_string())
    }

    fn number(&self) -> u64 {
        self.bytes().unwrap_or_default()
    }
}

/// What is taken for the memory of a machine that does not say.
const UNKNOWN: u64 = 4 << 30;

/// The memory of this machine, in bytes.
pub fn machine_bytes() -> u64 {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let group =
        [read("/sys/fs/cgroup/memory.max"), read("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    smallest(&read("/proc/meminfo"), &group)
}

fn smallest(meminfo: &str, group: &[String]) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    let total = total.map(|kib: u64| kib << 10);
    let group = group.iter().filter_map(|text| text.trim().parse().ok()).filter(|bytes| *bytes > 0);
    total.into_iter().chain(group).min().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bytes("1_000", Ok(Memory::Bytes(1000)))]
    #[case::share(" 25 % ", Ok(Memory::Percent(25)))]
    #[case::nothing("0%", Ok(Memory::Percent(0)))]
    #[case::most("90%", Ok(Memory::Percent(90)))]
    #[case::too_much("91%", Err("91%"))]
    #[case::a_unit("5GiB", Err("5GiB"))]
    #[case::less_than_nothing("-1", Err("-1"))]
    fn an_amount_is_bytes_or_a_share(#[case] text: &str, #[case] want: Result<Memory, &str>) {
        let got = Memory::parse(text);
        match want {
            Ok(want) => assert_eq!(got, Ok(want)),
            Err(part) => assert!(got.unwrap_err().contains(part)),
        }
    }

    #[rstest]
    #[case::usual(" auto ", Ok(Ahead::Auto))]
    #[case::bytes("1_000", Ok(Ahead::Bytes(1000)))]
    #[case::a_share("25%", Err("25%"))]
    fn what_is_read_ahead_is_bytes_or_auto(#[case] text: &str, #[case] want: Result<Ahead, &str>) {
        let got = Ahead::parse(text);
        match want {
            Ok(want) => {
                assert_eq!(Ahead::parse(&want.show()), Ok(want));
                assert_eq!(got, Ok(want));
            }
            Err(part) => assert!(got.unwrap_err().contains(part)),
        }
    }

    const MEMINFO: &str = "MemTotal:       16384 kB\nMemFree:         1 kB\n";

    #[rstest]
    #[case::a_machine(MEMINFO, &[], 16 << 20)]
    #[case::a_container(MEMINFO, &["8388608\n", ""], 8 << 20)]
    #[case::a_group_without_a_limit(MEMINFO, &["max\n", "9223372036854771712\n"], 16 << 20)]
    #[case::unknown("", &["max"], UNKNOWN)]
    fn the_machine_has_what_it_may_use(
        #[case] meminfo: &str,
        #[case] group: &[&str],
        #[case] want: u64,
    ) {
        let group: Vec<String> = group.iter().map(ToString::to_string).collect();
        assert_eq!(smallest(meminfo, &group), want);
        assert_eq!(Memory::Percent(25).bytes(want), want / 100 * 25);
    }
}
