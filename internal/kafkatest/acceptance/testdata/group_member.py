"""A member of a group that says what it is given: "assigned 0 1", "revoked 0 1", "record PARTITION OFFSET". It leaves on SIGTERM."""

import asyncio
import logging
import signal
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def say(what, *numbers):
    print(what, *numbers, flush=True)


class Listener(ConsumerRebalanceListener):
    def __init__(self):
        self.owned = set()

    async def on_partitions_revoked(self, revoked):
        self.give_up()

    async def on_partitions_assigned(self, assigned):
        self.owned = {tp.partition for tp in assigned}
        say("assigned", *sorted(self.owned))

    def give_up(self):
        if self.owned:
            say("revoked", *sorted(self.owned))
        self.owned = set()


async def main(bootstrap, group, topic, *assignors):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        heartbeat_interval_ms=100,
        auto_commit_interval_ms=100,
        partition_assignment_strategy=[ASSIGNORS[name] for name in assignors],
    )
    listener = Listener()
    consumer.subscribe([topic], listener=listener)
    await consumer.start()
    while not stop.is_set():
        batch = await consumer.getmany(timeout_ms=100)
        for tp, records in batch.items():
            for record in records:
                say("record", tp.partition, record.offset)
    listener.give_up()  # stop commits and leaves, and tells the listener nothing
    await consumer.stop()


logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it warns at each rebalance
asyncio.run(main(*sys.argv[1:]))
