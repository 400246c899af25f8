//! The pages generated from the schema.

use super::*;

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let page = reference_markdown(&schema_of::<Config>()).unwrap();
    let rows = [
        "Everything a gateway does.\n",
        "| `sinks` | a mapping of names to values: [`sinks.<name>`](#sinksname) | `{}` | Where records go, by a name of your choice. |",
        "| `limits` | a mapping of settings: [`limits`](#limits) | as below |  |",
        "| `address` | an IP address | unset |  |",
        "| `memory` | a size such as `4MiB` | `256MiB` |  |",
        "| `workers` | a whole number from 1 to 64 | `2` |  |",
        "| `endpoints` | text or a list of texts | `http://localhost:9200` | One URL, or several to choose from. |",
        "| `compression` | one of `none`, `gzip` | `none` | `gzip`: Saves network, costs CPU. |",
        "| `directory` | text | required |  |",
        "- [`blackhole`](#sinksname-of-type-blackhole) Throws everything away.\n",
        "| `when` | one of `always` or a mapping with one key: [`Condition`](#condition) | `always` |  |",
        "| `all` | a list of values: [`Condition`](#condition) |  |",
        "| `equals` | a mapping with `field`, `value`: [`routes[].when.equals`](#routeswhenequals) |  |",
    ];
    for row in rows {
        assert!(page.contains(row), "{row}\n{page}");
    }
}

#[test]
fn the_sections_of_a_component_follow_it() {
    let page = reference_markdown(&schema_of::<Config>()).unwrap();
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
    let expected = [
        "## Top level",
        "## `sinks.<name>`",
        "## `sinks.<name>` of type `elasticsearch`",
        "## `sinks.<name>` of type `files`",
        "## `sinks.<name>` of type `blackhole`",
        "## `routes[]`",
        "## `Condition`",
        "## `routes[].when.equals`",
        "## `limits`",
    ];
    assert_eq!(headings, expected);
}

#[test]
fn the_schema_file_is_json_that_names_every_setting() {
    let text = schema_json(&schema_of::<Config>());
    assert!(text.ends_with("}\n"));
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["properties"]["limits"]["default"]["memory"], "256MiB");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn types_that_contain_themselves_are_described_once() {
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Outer {
        rule: Option<Rule>,
        other: Vec<Rule>,
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Rule {
        Any { any: Vec<Rule> },
        Leaf(Leaf),
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Leaf {
        field: String,
    }
    let page = reference_markdown(&schema_of::<Outer>()).unwrap();
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(headings, ["## Top level", "## `Rule`", "## `Rule` (form 2)"]);
}
