import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints every record of topics, as the Java client reads them in both isolation levels and with two limits: what differential_kafka_test.go compares. */
public class ReadAll {
    public static void main(String[] args) {
        StringBuilder out = new StringBuilder();
        for (String level : new String[] {"read_uncommitted", "read_committed"}) {
            readAll(args, level, level, "1048576", out);
            readAll(args, level, level + "/1000", "1000", out); // answers end within batches
        }
        System.out.print(out);
    }

    static void readAll(String[] args, String level, String name, String limit, StringBuilder out) {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("isolation.level", level);
        p.put("max.partition.fetch.bytes", limit);
        p.put("auto.offset.reset", "none");
        p.put("enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (int i = 1; i < args.length; i++) {
                read(consumer, name, args[i], out);
            }
        }
    }

    static void read(KafkaConsumer<byte[], byte[]> consumer, String level, String topic, StringBuilder out) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (PartitionInfo p : consumer.partitionsFor(topic)) {
            partitions.add(new TopicPartition(topic, p.partition()));
        }
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        while (partitions.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp))) {
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                out.append(level).append(' ').append(topic).append('-').append(r.partition()).append(' ').append(r.offset())
                    .append(" epoch ").append(r.leaderEpoch().orElse(-1))
                    .append(' ').append(r.timestampType()).append(' ').append(r.timestamp())
                    .append(" key ").append(hex(r.key())).append(" value ").append(hex(r.value()));
                for (Header h : r.headers()) {
                    out.append(" header ").append(h.key()).append('=').append(hex(h.value()));
                }
                out.append('\n');
            }
        }
        for (TopicPartition tp : partitions) {
            out.append(level).append(' ').append(tp).append(" ends at ").append(consumer.position(tp)).append('\n');
        }
    }

    static String hex(byte[] b) {
        return b == null ? "null" : '"' + HexFormat.of().formatHex(b) + '"';
    }
}
