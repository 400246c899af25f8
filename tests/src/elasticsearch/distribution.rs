//! The two servers that speak the API, and the names in which they differ.

/// Which server a node is. OpenSearch descends from Elasticsearch, so one client serves both, and both are configured,
/// started and stopped alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    #[default]
    Elasticsearch,
    /// Always without security, which is a plugin that Maven Central does not have.
    OpenSearch,
}

impl Distribution {
    /// The one version that tests run against.
    pub const fn version(self) -> &'static str {
        match self {
            // The plugin's descriptor names it too: a node refuses a plugin of another version.
            Self::Elasticsearch => "8.19.21",
            Self::OpenSearch => "2.19.6",
        }
    }

    /// Its name as part of the names of programs, files and artifacts.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::OpenSearch => "opensearch",
        }
    }

    /// What the names of its environment variables begin with.
    pub(super) const fn variables(self) -> &'static str {
        match self {
            Self::Elasticsearch => "ES",
            Self::OpenSearch => "OPENSEARCH",
        }
    }
}
