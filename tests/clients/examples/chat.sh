curl -X POST "$MCPD_URL/v1/chat/completions" \
  -H "Authorization: Bearer $MCP_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"model": "claude-3-5-sonnet", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
