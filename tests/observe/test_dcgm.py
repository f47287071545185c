from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from fakeai_proxy.fleet.faults import Ecc, PowerCap, Thermal, Xid
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.observe.collecting import Collector
from fakeai_proxy.observe.dcgm import DcgmSettings, exposition, json_view, position
from tests.fleet.boards import B200, H100, L4, MI300X, step, work, worker

DECODE = step(0.02, busy=0.95, dram=0.7, tensor=0.03, link_bytes=4e6)


def words(text: str) -> list[str]:
    return text.split()


#: The active rows of dcgm-exporter's default counters file.
GAUGES = words("""DEV_SM_CLOCK DEV_MEM_CLOCK DEV_MEMORY_TEMP DEV_GPU_TEMP DEV_POWER_USAGE DEV_GPU_UTIL
DEV_MEM_COPY_UTIL DEV_ENC_UTIL DEV_DEC_UTIL DEV_XID_ERRORS DEV_FB_FREE DEV_FB_USED DEV_FB_RESERVED
DEV_VGPU_LICENSE_STATUS DEV_ROW_REMAP_FAILURE PROF_GR_ENGINE_ACTIVE PROF_PIPE_TENSOR_ACTIVE
PROF_DRAM_ACTIVE PROF_PCIE_TX_BYTES PROF_PCIE_RX_BYTES""")
COUNTERS = words("""DEV_TOTAL_ENERGY_CONSUMPTION DEV_PCIE_REPLAY_COUNTER DEV_NVLINK_BANDWIDTH_TOTAL
DEV_UNCORRECTABLE_REMAPPED_ROWS DEV_CORRECTABLE_REMAPPED_ROWS""")
#: What aiperf's GPU telemetry reads.
AIPERF = words("""DEV_POWER_USAGE DEV_TOTAL_ENERGY_CONSUMPTION DEV_GPU_UTIL DEV_FB_USED DEV_SM_CLOCK
DEV_MEM_CLOCK DEV_MEMORY_TEMP DEV_GPU_TEMP DEV_MEM_COPY_UTIL DEV_XID_ERRORS DEV_POWER_VIOLATION
DEV_THERMAL_VIOLATION DEV_POWER_MGMT_LIMIT DEV_FB_FREE DEV_FB_TOTAL DEV_ENC_UTIL DEV_DEC_UTIL
PROF_SM_ACTIVE""")
#: And the public Grafana dashboard 12239.
DASHBOARD = words("""DEV_GPU_TEMP DEV_POWER_USAGE DEV_SM_CLOCK DEV_GPU_UTIL PROF_GR_ENGINE_ACTIVE
PROF_PIPE_TENSOR_ACTIVE DEV_FB_USED""")


def samples(workers: Iterable[Telemetry], now: float) -> list[Sample]:
    """As they are at `now`, not held; in the order of nodes and slots."""
    return sorted((sample for worker in workers for sample in worker.sample(now)), key=position)


def dcgm_page(
    workers: Iterable[Telemetry],
    now: float,
    settings: DcgmSettings | None = None,
    hostname: str | None = None,
) -> str:
    return exposition(samples(workers, now), settings or DcgmSettings(), hostname)


def dcgm_json(workers: Iterable[Telemetry], now: float) -> dict[str, dict[str, object]]:
    return json_view(samples(workers, now))


def families(page: str) -> dict[str, Metric]:
    """By the name on the page: the parser appends `_total` to counters."""
    parsed = list(text_string_to_metric_families(page))
    return {family.samples[0].name.removesuffix("_total"): family for family in parsed}


def value(page: str, name: str, gpu: int = 0) -> float:
    found = families(page)[f"DCGM_FI_{name}"].samples
    return next(sample.value for sample in found if sample.labels["gpu"] == str(gpu))


def busy(tp: int = 2) -> Telemetry:
    telemetry = worker(tp=tp)
    work(telemetry, 0, 60, DECODE, 32)
    return telemetry


def test_the_page_has_every_default_field_of_the_exporter_with_its_type() -> None:
    settings = DcgmSettings(dcgm_fields="default")
    page = families(dcgm_page([busy()], 60, settings))
    assert {name: family.type for name, family in page.items()} == {
        **{f"DCGM_FI_{name}": "gauge" for name in GAUGES},
        **{f"DCGM_FI_{name}": "counter" for name in COUNTERS},
    }


@pytest.mark.parametrize("names", [AIPERF, DASHBOARD, GAUGES + COUNTERS])
def test_the_whole_page_has_what_clients_of_the_exporter_read(names: list[str]) -> None:
    page = families(dcgm_page([busy()], 60))
    assert {f"DCGM_FI_{name}" for name in names} <= set(page)
    assert len(page) > 50


def test_rows_are_written_as_the_exporter_writes_them() -> None:
    lines = dcgm_page([busy()], 60).splitlines()
    common = (
        r'\{gpu="[01]",UUID="GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",'
        r'pci_bus_id="00000000:[0-9A-F]{2}:00\.0",device="nvidia[01]",'
        r'modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-node-0",'
        r'DCGM_FI_DRIVER_VERSION="[0-9.]+"'
    )
    rows = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(rf"DCGM_\w+{common}(,\w+=\"[^\"]*\")*\}} \S+", row) for row in rows)
    for row in rows:
        name, number = row.split("{")[0], row.rsplit(" ", 1)[1]
        ratio = re.search(r"_ACTIVE|_OCCUPANCY|POWER_USAGE|MGMT_LIMIT|USED_PERCENT", name)
        assert re.fullmatch(r"\d+\.\d{6}" if ratio else r"\d+", number), row
    names = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(set(names)) == len(names)
    for index, line in enumerate(lines):
        if line.startswith("# HELP"):
            assert lines[index + 1].startswith(f"# TYPE {line.split()[2]} ")
            assert lines[index + 2].startswith(line.split()[2] + "{")


def test_values_are_in_the_exporters_units() -> None:
    telemetry = busy()
    page = dcgm_page([telemetry], 60)
    sample = telemetry.sample(60)[0]
    assert value(page, "DEV_TOTAL_ENERGY_CONSUMPTION") == int(sample.energy_j * 1000)
    assert value(page, "DEV_POWER_USAGE") == pytest.approx(sample.power_w, abs=1e-6)
    assert value(page, "DEV_GPU_UTIL") == 95
    assert value(page, "DEV_MEM_COPY_UTIL") == pytest.approx(105 * 0.7, abs=1)
    assert value(page, "PROF_DRAM_ACTIVE") == pytest.approx(0.7)
    assert value(page, "PROF_NVLINK_TX_BYTES") == pytest.approx(200e6, rel=0.01)
    assert value(page, "DEV_NVLINK_BANDWIDTH_TOTAL") == pytest.approx(60 * 400e6 / 2**20, rel=0.02)
    total = sum(value(page, f"DEV_FB_{part}") for part in ("USED", "FREE", "RESERVED"))
    assert total == value(page, "DEV_FB_TOTAL") == H100.hbm_mib


def test_no_counter_of_the_page_falls() -> None:
    telemetry = worker(tp=2)
    before: dict[tuple[str, str], float] = {}
    for second in range(0, 120, 5):
        if second == 30:
            telemetry.inject(Thermal(ambient_c=80, resistance=4), second)
            telemetry.inject(PowerCap(300), second)
        if second == 60:
            telemetry.clear(second)
            telemetry.inject(Ecc("dbe", 3), second)
        if second % 20:
            work(telemetry, second, second + 4, step(0.05, dram=0.4, tensor=0.5, link_bytes=1e7))
        after = {
            (name, sample.labels["gpu"]): sample.value
            for name, family in families(dcgm_page([telemetry], second + 5)).items()
            if family.type == "counter"
            for sample in family.samples
        }
        assert all(after[key] >= number for key, number in before.items())
        before = after
    moved = {name for (name, _), number in before.items() if number}
    assert "DCGM_FI_DEV_POWER_VIOLATION" in moved
    assert "DCGM_FI_DEV_THERMAL_VIOLATION" in moved


async def test_values_are_held_for_the_collect_interval() -> None:
    telemetry = worker()
    collector = Collector(DcgmSettings(dcgm_interval_s=30))
    first = await collector.samples([telemetry], 31)
    work(telemetry, 31, 59, DECODE, 32)
    assert await collector.samples([telemetry], 59) == first
    assert first[0].power_w < 80
    assert value(dcgm_page([telemetry], 59), "DEV_POWER_USAGE") > 200
    assert (await collector.samples([telemetry], 60))[0].power_w > 200


def test_the_host_label_can_be_spelled_as_newer_exporters_do() -> None:
    page = dcgm_page([busy()], 60, DcgmSettings(dcgm_hostname_label="hostname"))
    assert 'hostname="gpu-node-0"' in page
    assert "Hostname" not in page


def test_a_node_shows_its_own_gpus_only() -> None:
    fleet = [worker(tp=4, number=number) for number in range(3)]
    whole = families(dcgm_page(fleet, 5))["DCGM_FI_DEV_SM_CLOCK"].samples
    assert len({sample.labels["UUID"] for sample in whole}) == 12
    assert [sample.labels["Hostname"] for sample in whole] == ["gpu-node-0"] * 8 + [
        "gpu-node-1"
    ] * 4
    second = families(dcgm_page(fleet, 5, hostname="gpu-node-1"))["DCGM_FI_DEV_SM_CLOCK"].samples
    assert [sample.labels["gpu"] for sample in second] == ["0", "1", "2", "3"]
    assert dcgm_page(fleet, 5, hostname="gpu-node-7") == ""


def test_an_injected_xid_shows_with_its_meaning_and_is_counted() -> None:
    telemetry = busy()
    telemetry.inject(Xid(94, gpu=1), 60)
    page = dcgm_page([telemetry], 61)
    assert 'err_code="94",err_msg="Contained ECC error"} 94' in page
    assert 'err_code="0",err_msg="No Error"} 0' in page
    assert 'window_size_in_ms="300000",xid="94"} 1' in page
    assert value(page, "DEV_ECC_DBE_VOL_TOTAL", gpu=1) == 1
    assert telemetry.dead


def test_a_gpu_that_has_fallen_off_the_bus_leaves_only_its_xid() -> None:
    telemetry = busy()
    telemetry.inject(Xid(79, gpu=0), 60)
    page = dcgm_page([telemetry], 61)
    for name, family in families(page).items():
        seen = {sample.labels["gpu"] for sample in family.samples}
        assert seen == ({"0", "1"} if "XID" in name else {"1"}), name
    assert value(page, "DEV_XID_ERRORS", gpu=0) == 79


def test_a_gpu_without_nvlink_or_without_dcgm_has_no_such_rows() -> None:
    assert "NVLINK" not in dcgm_page([worker(L4)], 1)
    mixed = dcgm_page([worker(MI300X, number=0), worker(B200)], 1)
    assert "# AMD Instinct MI300X has no DCGM" in mixed
    models = {
        sample.labels["modelName"] for sample in families(mixed)["DCGM_FI_DEV_SM_CLOCK"].samples
    }
    assert models == {"NVIDIA B200"}


#: FakeAI's keys.
VIEW = words("""gpu_id uuid name architecture sm_clock_mhz memory_clock_mhz temperature_c memory_temp_c
hotspot_temp_c power_usage_w total_energy_mj gpu_utilization_pct memory_utilization_pct
memory_free_mib memory_used_mib memory_total_mib ecc_sbe_total ecc_sbe_l1 ecc_sbe_l2 ecc_dbe_total
performance_state sm_active_pct sm_occupancy_pct tensor_active_pct dram_active_pct pcie_tx_bytes
pcie_rx_bytes nvlink_tx_bytes nvlink_rx_bytes fan_speed_pct throttle_reasons thermal_throttle
power_throttle temp_p50 temp_p90 temp_p99 power_p50 power_p90 power_p99""")


def test_the_json_view_has_fakeais_shape_and_the_pages_values() -> None:
    telemetry = busy()
    view, page = dcgm_json([telemetry], 60), dcgm_page([telemetry], 60)
    assert list(view) == ["gpu_0", "gpu_1"]
    for number, gpu in enumerate(view.values()):
        assert list(gpu) == VIEW
        assert gpu["gpu_id"] == number
        assert gpu["total_energy_mj"] == value(page, "DEV_TOTAL_ENERGY_CONSUMPTION", number)
        assert gpu["memory_used_mib"] == value(page, "DEV_FB_USED", number)
        assert gpu["dram_active_pct"] == pytest.approx(70)
        assert gpu["throttle_reasons"] == 0
        p50, p90, p99 = (gpu[f"power_p{share}"] for share in (50, 90, 99))
        assert isinstance(p50, float)
        assert 300 < p50 <= p90 <= p99 <= 700
    assert dcgm_json([worker()], 0)["gpu_0"]["gpu_utilization_pct"] == 0


def test_identities_depend_on_the_seed_alone() -> None:
    assert dcgm_page([worker(tp=8)], 0) == dcgm_page([worker(tp=8)], 0)
    uuids = re.findall(r'SM_CLOCK\{gpu="\d",UUID="([^"]+)"', dcgm_page([worker(tp=8)], 0))
    assert len(set(uuids)) == 8
