"""When one wants it: before buying or renting GPUs. How many does this traffic need, and what is that a
month? Answered by a simulation on virtual time; no GPU takes part.

    python examples/size_a_fleet.py
    python examples/size_a_fleet.py --trace yours.csv        # Azure or BurstGPT CSV, Mooncake JSON lines

`fakeai-proxy cassette export yours.fcz trace.jsonl --to mooncake` makes a trace of a recording.
"""

import json
import subprocess
import sys

USD_PER_GPU_HOUR = 2.50  # put in what yours cost
HOURS_A_MONTH = 730

TRAFFIC = sys.argv[1:] or ["--load", "poisson:rate=6", "--duration", "60", "--isl", "1500"]
WANTED = ["--find", "workers", "--slo", "ttft_p99=1s,tpot_p99=60ms"]
FLEET = ["--profile", "8xh100-70b-tp4x2", "--osl", "200"]
SIMULATE = [sys.executable, "-m", "fakeai_proxy", "simulate", *FLEET, *TRAFFIC, *WANTED, "--json"]

done = subprocess.run(SIMULATE, text=True, stdout=subprocess.PIPE, check=False)
for trial in (trials := json.loads(done.stdout)["trials"]):
    month = trial["gpus"] * USD_PER_GPU_HOUR * HOURS_A_MONTH
    tokens = trial["output_tokens_per_s"] * 3600 * HOURS_A_MONTH
    print(
        f"{trial['gpus']:3} GPUs: TTFT p99 {trial['ttft_ms']['p99']:7,.0f} ms,",
        f"time per token p99 {trial['tpot_ms']['p99']:4,.0f} ms,",
        f"${month:,.0f} a month, ${month / tokens * 1e6:.2f} per million tokens:",
        "enough" if trial["slo_met"] else "too few",
    )
enough = [trial["gpus"] for trial in trials if trial["slo_met"]]
print(
    f"take {min(enough)} GPUs" if enough else "no number of workers is enough: see the TTFT alone"
)
