import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A member of a group that says what it is given: "assigned 0 1", "revoked 0 1", "record PARTITION OFFSET". It leaves on SIGTERM. */
class Member {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("group.id", args[1]);
        p.put("auto.offset.reset", "earliest");
        p.put("heartbeat.interval.ms", "100");
        p.put("auto.commit.interval.ms", "100");
        if (args.length > 3) p.put("partition.assignment.strategy", args[3]); // else the defaults
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try { main.join(); } catch (InterruptedException e) { }
        }));
        consumer.subscribe(List.of(args[2]), new ConsumerRebalanceListener() {
            public void onPartitionsRevoked(Collection<TopicPartition> tps) { say("revoked", tps); }
            public void onPartitionsAssigned(Collection<TopicPartition> tps) { say("assigned", tps); }
            public void onPartitionsLost(Collection<TopicPartition> tps) { say("lost", tps); }
        });
        try {
            while (true) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100))) {
                    System.out.println("record " + r.partition() + " " + r.offset());
                }
            }
        } catch (WakeupException e) {
            consumer.close();
        }
    }

    static void say(String what, Collection<TopicPartition> tps) {
        StringBuilder s = new StringBuilder(what);
        for (TopicPartition tp : tps) s.append(' ').append(tp.partition());
        System.out.println(s);
    }
}
