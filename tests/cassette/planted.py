"""Credentials in every shape that vendors give them, all made up."""

from __future__ import annotations

import base64
import string

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _some(count: int, alphabet: str = _LETTERS, start: int = 7) -> str:
    """So many characters that are no words."""
    return "".join(alphabet[(start + place * place * 31 + place * 17) % len(alphabet)]
                   for place in range(count))  # fmt: skip


_JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"J"}', b"s" * 32)
)
_PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\\n" + _some(64, start=3) + "\\n-----END RSA PRIVATE KEY-----"
)

#: Name, text in which it stands, and what of it must be nowhere.
SECRETS: dict[str, tuple[str, str]] = {
    name: (text, core or text)
    for name, text, core in (
        ("openai", "sk-" + _some(48), ""),
        ("openai project", "sk-proj-" + _some(120, _LETTERS + "-_"), ""),
        ("openai service account", "sk-svcacct-" + _some(60), ""),
        ("openai admin", "sk-admin-" + _some(60), ""),
        ("openai session", "ek_" + _some(32), ""),
        ("openrouter", "sk-or-v1-" + _some(64, _HEX), ""),
        ("anthropic", "sk-ant-api03-" + _some(93, _LETTERS + "-_"), ""),
        ("google", "AIza" + _some(35), ""),
        ("google oauth", "ya29." + _some(80), ""),
        ("google refresh", "1//0" + _some(60), ""),
        ("google client", "GOCSPX-" + _some(28), ""),
        ("aws id", "AKIA" + _some(16, string.ascii_uppercase), ""),
        ("aws session id", "ASIA" + _some(16, string.ascii_uppercase), ""),
        ("aws secret", "AWS_SECRET_ACCESS_KEY=" + _some(40), _some(40)),
        ("aws bedrock", "ABSK" + _some(120), ""),
        ("azure storage", "AccountKey=" + _some(86) + "==", _some(86)),
        ("azure header", "api_key=" + _some(32, _HEX, 9), _some(32, _HEX, 9)),
        ("github", "ghp_" + _some(36), ""),
        ("github oauth", "gho_" + _some(36), ""),
        ("github server", "ghs_" + _some(36), ""),
        ("github fine-grained", "github_pat_" + _some(82), ""),
        ("gitlab", "glpat-" + _some(20), ""),
        ("slack bot", "xoxb-" + _some(12, string.digits) + "-" + _some(24), ""),
        ("slack app", "xapp-1-" + _some(40), ""),
        ("huggingface", "hf_" + _some(34), ""),
        ("nvidia", "nvapi-" + _some(64), ""),
        ("groq", "gsk_" + _some(52), ""),
        ("xai", "xai-" + _some(80), ""),
        ("perplexity", "pplx-" + _some(48), ""),
        ("replicate", "r8_" + _some(37), ""),
        ("cerebras", "csk-" + _some(48), ""),
        ("together", "tgp_v1_" + _some(43), ""),
        ("fireworks", "fw_" + _some(24), ""),
        ("elevenlabs", "sk_" + _some(48, _HEX), ""),
        ("stripe", "sk_live_" + _some(24), ""),
        ("stripe restricted", "rk_live_" + _some(24), ""),
        ("webhook", "whsec_" + _some(32), ""),
        ("sendgrid", "SG." + _some(22) + "." + _some(43), ""),
        ("twilio", "SK" + _some(32, _HEX), ""),
        ("npm", "npm_" + _some(36), ""),
        ("pypi", "pypi-AgEIcHlwaS5vcmc" + _some(80), ""),
        ("digitalocean", "dop_v1_" + _some(64, _HEX), ""),
        ("databricks", "dapi" + _some(32, _HEX), ""),
        ("langfuse", "sk-lf-1234abcd-12ab-34cd-56ef-1234567890ab", ""),
        ("langsmith", "lsv2_pt_" + _some(32, _HEX) + "_" + _some(10, _HEX), ""),
        ("pinecone", "pcsk_" + _some(70), ""),
        ("wandb", "wandb_v1_" + _some(60), ""),
        ("docker", "dckr_pat_" + _some(27), ""),
        ("supabase", "sbp_" + _some(40, _HEX), ""),
        ("vault", "hvs." + _some(90), ""),
        ("telegram", "123456789:AA" + _some(33), ""),
        ("shopify", "shpat_" + _some(32, _HEX), ""),
        ("jwt", _JWT, ""),
        ("pem", _PEM, _some(64, start=3)),
        ("bearer", "Bearer " + _some(40, start=11), _some(40, start=11)),
        ("basic", "Basic " + base64.b64encode(b"jane:" + _some(12).encode()).decode(),
         base64.b64encode(b"jane:" + _some(12).encode()).decode()),
        ("url", "postgresql://jane:" + _some(20, start=5) + "@db.example.com/x", _some(20, start=5)),
        ("query", "https://example.com/a?x=1&key=" + _some(30, start=6), _some(30, start=6)),
        ("signed url", "https://example.com/a?se=2&sig=" + _some(43, start=8) + "%3D", _some(43, start=8)),
        ("organization", "org-" + _some(24), ""),
        ("project", "proj_" + _some(24), ""),
    )
}  # fmt: skip
#: What has no shape, and is secret because of the field it stands in.
FIELD = _some(32, start=13)
