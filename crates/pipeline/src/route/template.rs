//! Destination names with date patterns: `project-ai-logs-%Y.%m.%d`.

use crate::time::civil;

/// The longest name that Elasticsearch allows for an index, in bytes.
const MAX_NAME_BYTES: usize = 255;
const HOURS_PER_DAY: i32 = 24;

/// A parsed pattern.
#[derive(Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
    hourly: bool,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Date(char),
}

impl Template {
    /// Parses `pattern` and checks that the names it makes are valid index names.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            match (char, char == '%') {
                (_, false) => text.push(char),
                _ => match chars.next() {
                    Some('%') => text.push('%'),
                    Some(code) if "YmdHGVj".contains(code) => {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                        parts.push(Part::Date(code));
                    }
                    Some(code) => return Err(format!("`%{code}` is not one of %Y %m %d %H %G %V %j %%")),
                    None => return Err("ends in a lone `%`".to_owned()),
                },
            }
        }
        parts.push(Part::Text(text));
        let hourly = parts.iter().any(|part| matches!(part, Part::Date('H')));
        let template = Self { parts, hourly };
        check_name(&template.render(0))?;
        Ok(template)
    }

    /// Hours that share a name share a bucket.
    pub(super) fn bucket(&self, hour: i32) -> i32 {
        if self.hourly { hour } else { hour.div_euclid(HOURS_PER_DAY) }
    }

    /// The name for events of this hour since 1970.
    pub(crate) fn render(&self, hour: i32) -> String {
        let day = i64::from(hour.div_euclid(HOURS_PER_DAY));
        let (year, month, day_of_month) = civil(day);
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Date('Y') => name.push_str(&format!("{year:04}")),
                Part::Date('m') => name.push_str(&format!("{month:02}")),
                Part::Date('d') => name.push_str(&format!("{day_of_month:02}")),
                Part::Date('H') => name.push_str(&format!("{:02}", hour.rem_euclid(HOURS_PER_DAY))),
                Part::Date('j') => name.push_str(&format!("{:03}", day_of_year(day))),
                Part::Date('G') => name.push_str(&format!("{:04}", iso_week(day).0)),
                Part::Date(_) => name.push_str(&format!("{:02}", iso_week(day).1)),
            }
        }
        name
    }
}

fn day_of_year(day: i64) -> i64 {
    let (year, ..) = civil(day);
    let mut first = day;
    while civil(first - 1).0 == year {
        first -= 1;
    }
    day - first + 1
}

/// ISO 8601: the week belongs to the year that has its Thursday.
fn iso_week(day: i64) -> (i64, i64) {
    // 1970-01-01 was a Thursday.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    (civil(thursday).0, (day_of_year(thursday) - 1) / 7 + 1)
}

/// Elasticsearch's rules for an index name ("Create index" API, path parameters).
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name == "." || name == ".." {
        return Err("makes an empty name".to_owned());
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("makes a name of {} bytes, at most {MAX_NAME_BYTES} are allowed", name.len()));
    }
    if name.starts_with(['-', '_', '+', '.']) {
        return Err(format!("makes the name `{name}`, which must not begin with `-`, `_`, `+` or `.`"));
    }
    let forbidden =
        |c: char| c.is_uppercase() || c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:".contains(c);
    match name.chars().find(|c| forbidden(*c)) {
        Some(c) => Err(format!("makes the name `{name}`, in which {c:?} is not allowed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_agree_with_a_calendar_library(hour in -800_000i32..2_000_000) {
            let template = Template::parse("x-%Y.%m.%d.%H-%G.w%V-%j").unwrap();
            let time = jiff::Timestamp::from_second(i64::from(hour) * 3600).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let week = time.date().iso_week_date();
            let expected = format!(
                "x-{}-{:04}.w{:02}-{:03}",
                time.strftime("%Y.%m.%d.%H"), week.year(), week.week(), time.day_of_year()
            );
            prop_assert_eq!(template.render(hour), expected);
        }
    }

    #[test]
    fn daily_names_share_a_bucket_and_hourly_ones_do_not() {
        let (daily, hourly) = (Template::parse("a-%d").unwrap(), Template::parse("a-%H").unwrap());
        assert_eq!(daily.bucket(47), daily.bucket(24));
        assert_ne!(hourly.bucket(47), hourly.bucket(24));
    }

    #[test]
    fn names_that_elasticsearch_would_refuse_are_refused() {
        for bad in
            ["", "Logs", "-logs", "_logs", ".logs", "a b", "a/b", "a:b", "logs-%q", "logs-%", "a\u{7f}", "ÄÖ"]
        {
            assert!(Template::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Template::parse(&"a".repeat(256)).is_err());
        assert_eq!(Template::parse("100%%-x").unwrap().render(0), "100%-x");
    }
}
