const response = await fetch(`${process.env.MCPD_URL}/v1/chat/completions`, {
  method: "POST",
  headers: {
    Authorization: `Bearer ${process.env.MCP_API_KEY}`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    model: "claude-3-5-sonnet",
    messages: [{ role: "user", content: "What is the capital of France?" }],
  }),
});
if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);

const answer = await response.json();
console.log(answer.choices[0].message.content);
