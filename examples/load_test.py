"""When one wants it: to try a benchmark client, or what is to read its reports, without a GPU.

    python examples/load_test.py aiperf/bin/aiperf          # or guidellm/bin/guidellm

Runs it against a simulated fleet, and ends with what the server has counted meanwhile.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import fakeai_proxy

if len(sys.argv) != 2:
    sys.exit(__doc__)
PROGRAM = Path(sys.argv[1]).absolute()
MODEL, FLEET = "llama-3.1-8b", "1xh100-8b"
PROSE = Path(fakeai_proxy.__file__).parent / "generate" / "prose"
TOKENIZER = Path(__file__).parent.parent / "benchmarks" / "outside" / "tokenizer.py"

AIPERF = f"""profile --url URL --api-key any --model {MODEL} --endpoint-type chat --streaming --ui none
    --tokenizer fakeai/prose --use-server-token-count --extra-inputs ignore_eos:true
    --concurrency 8 --request-count 32 --isl 200 --osl 64"""
GUIDELLM = f"""run --backend kind=openai_http,target=URL,model={MODEL},api_key=any
    --profile kind=concurrent,streams=8 --constraint kind=max_requests,count=32 --disable-progress
    --tokenizer kind=huggingface_auto,model=HOME/prose
    --data kind=synthetic_text,prompt_tokens=200,output_tokens=64"""

with fakeai_proxy.serve(mode="synth", profile=FLEET) as server, TemporaryDirectory() as folder:
    home = f"{folder}/hf"  # with a tokenizer that is made here, as if it came from Hugging Face
    subprocess.run([PROGRAM.parent / "python", TOKENIZER, home, *PROSE.glob("*.txt")], check=True)
    words = {"aiperf": AIPERF, "guidellm": GUIDELLM}[PROGRAM.name].replace("HOME", home)
    offline = {**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
    run = [PROGRAM, *words.replace("URL", server.url).split()]
    subprocess.run(run, cwd=folder, env=offline, check=True)
    counted = server.control.metrics_text().splitlines()
print(*(line for line in counted if line.startswith("vllm:request_success_total")), sep="\n")
