//! The tools a model may call, and how freely it may.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::field::{Field, InvalidField, Object};
use super::ignored::Ignored;

/// The tools of a request, and how freely the model may choose among them.
#[derive(Default, Serialize)]
pub(super) struct Toolbox<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(rename = "tool_choice", skip_serializing_if = "Option::is_none")]
    choice: Option<Choice<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    input_schema: &'a RawValue,
}

#[derive(Serialize)]
struct Choice<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Auto,
    Any,
    Tool,
    None,
}

impl<'a> Toolbox<'a> {
    /// Takes `tools`, `tool_choice` and `parallel_tool_calls` out of a request.
    pub fn take_from(request: &mut Object<'a>, ignored: &mut Ignored) -> Result<Self, InvalidField> {
        let tools = match request.take("tools") {
            Some(tools) => read_tools(&tools, ignored)?,
            None => Vec::new(),
        };
        let asked = request.take("tool_choice");
        let parallel = match request.take("parallel_tool_calls") {
            Some(parallel) => parallel.flag()?,
            None => true,
        };
        if tools.is_empty() {
            refuse_choice_of_nothing(asked.as_ref())?;
            return Ok(Self::default());
        }
        let mut choice = asked.as_ref().map(Choice::read).transpose()?;
        if !parallel {
            let freedom = choice.unwrap_or(Choice::of(Kind::Auto));
            choice = Some(freedom.one_at_a_time());
        }
        Ok(Self { tools, choice })
    }
}

impl<'a> Choice<'a> {
    fn of(kind: Kind) -> Self {
        Self { kind, name: None, disable_parallel_tool_use: false }
    }

    fn read(choice: &Field<'a>) -> Result<Self, InvalidField> {
        if !choice.is_text() {
            return Self::read_named(choice);
        }
        match &*choice.text()? {
            "auto" => Ok(Self::of(Kind::Auto)),
            "required" => Ok(Self::of(Kind::Any)),
            "none" => Ok(Self::of(Kind::None)),
            _ => Err(choice.refuse("must be auto, none, required or a function")),
        }
    }

    fn read_named(choice: &Field<'a>) -> Result<Self, InvalidField> {
        let mut function = take_function(&mut choice.object()?)?;
        Ok(Self { name: Some(function.require("name")?.text()?), ..Self::of(Kind::Tool) })
    }

    /// Forbids parallel calls, which the API will not hear of where calls are off.
    fn one_at_a_time(self) -> Self {
        Self { disable_parallel_tool_use: self.kind != Kind::None, ..self }
    }
}

fn read_tools<'a>(tools: &Field<'a>, ignored: &mut Ignored) -> Result<Vec<Tool<'a>>, InvalidField> {
    let tools = tools.list()?;
    tools.iter().map(|tool| read_tool(tool, ignored)).collect()
}

fn read_tool<'a>(tool: &Field<'a>, ignored: &mut Ignored) -> Result<Tool<'a>, InvalidField> {
    let mut tool = tool.object()?;
    let mut function = take_function(&mut tool)?;
    let name = function.require("name")?.text()?;
    let description = function.take("description");
    let description = description.map(|words| words.text()).transpose()?;
    let input_schema = schema(function.take("parameters").as_ref())?;
    ignored.leftovers_of(function);
    ignored.leftovers_of(tool);
    Ok(Tool { name, description, input_schema })
}

/// Returns the schema of a tool's input; the API insists on one of an object.
fn schema<'a>(parameters: Option<&Field<'a>>) -> Result<&'a RawValue, InvalidField> {
    if let Some(parameters) = parameters
        && !parameters.object()?.is_empty()
    {
        return Ok(parameters.raw());
    }
    let empty = serde_json::from_str(r#"{"type":"object","properties":{}}"#);
    Ok(empty.expect("the literal above is JSON"))
}

/// Takes the `function` out of a tool, a choice or a call, which are of no other type.
pub(super) fn take_function<'a>(object: &mut Object<'a>) -> Result<Object<'a>, InvalidField> {
    if let Some(kind) = object.take("type")
        && kind.text()? != "function"
    {
        return Err(kind.refuse("must be `function`, the only type this model takes"));
    }
    object.require("function")?.object()
}

fn refuse_choice_of_nothing(asked: Option<&Field>) -> Result<(), InvalidField> {
    let Some(asked) = asked else {
        return Ok(());
    };
    match Choice::read(asked)?.kind {
        Kind::Auto | Kind::None => Ok(()),
        Kind::Any | Kind::Tool => Err(asked.refuse("asks for a tool, but there are no `tools`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn toolbox(request: &Value) -> Result<(Value, Vec<String>), String> {
        let request = request.to_string();
        let mut request = Object::of_body(request.as_bytes()).unwrap();
        let mut ignored = Ignored::default();
        Toolbox::take_from(&mut request, &mut ignored)
            .map(|toolbox| (serde_json::to_value(toolbox).unwrap(), ignored.into_names()))
            .map_err(|invalid| invalid.to_string())
    }

    fn with_a_tool(mut request: Value) -> Value {
        request["tools"] = json!([{"type": "function", "function": {"name": "now"}}]);
        request
    }

    #[test]
    fn a_function_becomes_a_tool_with_a_schema() {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let empty = json!({"type": "object", "properties": {}});
        let cases = [
            (
                json!({"name": "weather", "description": "Looks outside", "parameters": schema}),
                json!({"name": "weather", "description": "Looks outside", "input_schema": schema}),
            ),
            (json!({"name": "now"}), json!({"name": "now", "input_schema": empty})),
            (
                json!({"name": "now", "parameters": {}, "description": null}),
                json!({"name": "now", "input_schema": empty}),
            ),
        ];
        for (function, expected) in cases {
            let request = json!({"tools": [{"type": "function", "function": function}]});
            let (translated, ignored) = toolbox(&request).unwrap();
            assert_eq!(translated, json!({"tools": [expected]}));
            assert_eq!(ignored, [""; 0]);
        }
    }

    #[test]
    fn every_choice_has_its_counterpart() {
        let named = json!({"type": "function", "function": {"name": "now"}});
        let cases = [
            (json!({}), json!(null)),
            (json!({"tool_choice": "auto"}), json!({"type": "auto"})),
            (json!({"tool_choice": "none"}), json!({"type": "none"})),
            (json!({"tool_choice": "required"}), json!({"type": "any"})),
            (json!({"tool_choice": named}), json!({"type": "tool", "name": "now"})),
            (json!({"parallel_tool_calls": true}), json!(null)),
            (
                json!({"parallel_tool_calls": false}),
                json!({"type": "auto", "disable_parallel_tool_use": true}),
            ),
            (
                json!({"parallel_tool_calls": false, "tool_choice": named}),
                json!({"type": "tool", "name": "now", "disable_parallel_tool_use": true}),
            ),
            (json!({"parallel_tool_calls": false, "tool_choice": "none"}), json!({"type": "none"})),
        ];
        for (request, expected) in cases {
            let (translated, _) = toolbox(&with_a_tool(request.clone())).unwrap();
            assert_eq!(translated["tool_choice"], expected, "{request}");
        }
    }

    #[test]
    fn without_tools_nothing_about_them_is_sent() {
        let cases = [
            json!({}),
            json!({"tools": []}),
            json!({"tools": null, "tool_choice": "auto", "parallel_tool_calls": false}),
            json!({"tool_choice": "none"}),
        ];
        for request in cases {
            assert_eq!(toolbox(&request).unwrap().0, json!({}), "{request}");
        }
    }

    #[test]
    fn a_strict_schema_is_a_promise_not_kept() {
        let request = json!({"tools": [
            {"type": "function", "function": {"name": "a", "strict": true}},
            {"type": "function", "function": {"name": "b", "strict": false}},
        ]});
        assert_eq!(toolbox(&request).unwrap().1, ["tools[].function.strict"]);
    }

    #[test]
    fn tools_that_cannot_be_sent_are_refused_by_their_path() {
        let cases = [
            (json!({"tools": {}}), "tools must be a list"),
            (
                json!({"tools": [{"type": "custom", "custom": {"name": "grep"}}]}),
                "tools[0].type must be `function`, the only type this model takes",
            ),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function is required"),
            (json!({"tools": [{"type": "function", "function": {}}]}), "tools[0].function.name is required"),
            (
                json!({"tools": [{"function": {"name": "now", "parameters": []}}]}),
                "tools[0].function.parameters must be an object",
            ),
            (json!({"tool_choice": "required"}), "tool_choice asks for a tool, but there are no `tools`"),
            (
                with_a_tool(json!({"tool_choice": "any"})),
                "tool_choice must be auto, none, required or a function",
            ),
            (
                with_a_tool(json!({"tool_choice": {"type": "allowed_tools"}})),
                "tool_choice.type must be `function`, the only type this model takes",
            ),
            (with_a_tool(json!({"parallel_tool_calls": "no"})), "parallel_tool_calls must be true or false"),
        ];
        for (request, expected) in cases {
            assert_eq!(toolbox(&request), Err(expected.to_owned()));
        }
    }
}
