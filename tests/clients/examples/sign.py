import hashlib
import hmac
import json
import os
import time

import requests

api_key = os.environ["MCP_API_KEY"]
messages = [{"role": "user", "content": "What is the capital of France?"}]
payload = json.dumps({"model": "claude-3-5-sonnet", "messages": messages})
timestamp = str(int(time.time()))
signature = hmac.new(api_key.encode(), f"{timestamp}.{payload}".encode(), hashlib.sha256).hexdigest()

response = requests.post(
    os.environ["MCPD_URL"] + "/v1/chat/completions",
    data=payload,
    headers={
        "Authorization": f"Bearer {api_key}",
        "Content-Type": "application/json",
        "X-MCP-Timestamp": timestamp,
        "X-MCP-Signature": signature,
    },
)
response.raise_for_status()
print(response.json()["choices"][0]["message"]["content"])
