//! The languages that model servers speak.

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `OpenAI`'s API, as Ollama, vLLM and llama.cpp do too.
    OpenAi,
    /// Anthropic's API.
    Anthropic,
    /// Nothing: the built-in upstream that answers with the last message.
    Echo,
}
