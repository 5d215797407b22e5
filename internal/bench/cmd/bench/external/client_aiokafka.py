"""Reads a topic with aiokafka, as the bench's Go clients do: the task is in the flags, the result is one line of JSON."""

import asyncio
import json
import resource
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition


class Sums:
    records = offset_sum = bytes = 0
    first = end = cpu = None


async def read(flags, sums):
    """Reads the first records of each partition, as many as the task says."""
    partitions = int(flags["partitions"])
    left = [int(flags["records"]) // partitions] * partitions
    want = sum(left)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=flags["brokers"].split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=int(flags["max-bytes"]),
        max_partition_fetch_bytes=int(flags["max-partition-bytes"]),
        fetch_min_bytes=int(flags["min-bytes"]),
        fetch_max_wait_ms=int(flags["max-wait-ms"]),
    )
    consumer.assign([TopicPartition(flags["topic"], p) for p in range(partitions)])
    await consumer.start()
    while sums.records < want:
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            if sums.first is None:
                sums.first = time.monotonic()
            records = records[: left[tp.partition]]
            left[tp.partition] -= len(records)
            sums.records += len(records)
            for r in records:
                sums.offset_sum += r.offset
                sums.bytes += len(r.key or b"") + len(r.value or b"")
                for key, value in r.headers:
                    sums.bytes += len(key) + len(value or b"")
    sums.end, sums.cpu = time.monotonic(), cpu_seconds()


def peak_rss():
    """The VmHWM of the process, in bytes; 0 where there is no /proc."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    flags = {k.lstrip("-"): v for k, v in zip(sys.argv[1::2], sys.argv[2::2])}
    sums, error = Sums(), ""
    cpu, start = cpu_seconds(), time.monotonic()
    try:
        asyncio.run(asyncio.wait_for(read(flags, sums), float(flags["timeout-seconds"])))
    except Exception as e:
        error = f"{sums.records} records read: {e!r}"
    end = sums.end or time.monotonic()
    first = sums.first or end
    print(
        json.dumps(
            {
                "client": "aiokafka",
                "mode": "",
                "records": sums.records,
                "offset_sum": sums.offset_sum,
                "bytes": sums.bytes,
                "seconds": end - start,
                "read_seconds": end - first,
                "first_seconds": first - start,
                "cpu_seconds": (sums.cpu or cpu_seconds()) - cpu,
                "peak_rss": peak_rss(),
                "error": error,
            }
        )
    )
    sys.stdout.flush()
    sys.exit(1 if error else 0)


main()
