//! PromQL and its extensions.
