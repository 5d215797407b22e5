import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic with the Java client, as the bench's Go clients do: the task is in the flags, the result is one line of JSON. The
 * whole topic is read once before what is measured, by another consumer, so that the code is compiled by then.
 */
public class ClientJava {
    static final class Sums {
        long records, offsetSum, bytes, firstNanos;
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            flags.put(args[i].replaceFirst("^-+", ""), args[i + 1]);
        }
        long deadline = System.nanoTime() + (long) (Double.parseDouble(flags.get("timeout-seconds")) * 1e9);
        Sums sums = new Sums();
        String error = "";
        long start = System.nanoTime();
        long end = start;
        double cpu = 0;
        try {
            read(flags, new Sums(), deadline);
            System.gc();
            double before = cpuSeconds();
            start = System.nanoTime();
            read(flags, sums, deadline);
            end = System.nanoTime();
            cpu = cpuSeconds() - before;
        } catch (Exception e) {
            end = System.nanoTime();
            error = String.valueOf(e.getMessage());
        }
        System.out.printf(Locale.ROOT,
                "{\"client\":\"java\",\"mode\":\"\",\"records\":%d,\"offset_sum\":%d,\"bytes\":%d,\"seconds\":%.6f,"
                        + "\"read_seconds\":%.6f,\"first_seconds\":%.6f,\"cpu_seconds\":%.6f,\"peak_rss\":%d,\"error\":\"%s\"}%n",
                sums.records, sums.offsetSum, sums.bytes, (end - start) / 1e9, (end - sums.firstNanos) / 1e9,
                (sums.firstNanos - start) / 1e9, cpu, peakRSS(), error.replaceAll("[\"\\\\\\p{Cntrl}]", " "));
        System.out.flush();
        Runtime.getRuntime().halt(error.isEmpty() ? 0 : 1);
    }

    /** Reads the first records of each partition, as many as the task says. */
    static void read(Map<String, String> flags, Sums sums, long deadline) {
        String topic = flags.get("topic");
        int partitions = Integer.parseInt(flags.get("partitions"));
        long perPartition = Long.parseLong(flags.get("records")) / partitions;
        Properties props = new Properties();
        props.put("bootstrap.servers", flags.get("brokers"));
        props.put("enable.auto.commit", "false");
        props.put("auto.offset.reset", "earliest");
        props.put("fetch.max.bytes", flags.get("max-bytes"));
        props.put("max.partition.fetch.bytes", flags.get("max-partition-bytes"));
        props.put("fetch.min.bytes", flags.get("min-bytes"));
        props.put("fetch.max.wait.ms", flags.get("max-wait-ms"));
        List<TopicPartition> parts = new ArrayList<>();
        for (int p = 0; p < partitions; p++) {
            parts.add(new TopicPartition(topic, p));
        }
        long[] left = new long[partitions];
        java.util.Arrays.fill(left, perPartition);
        long want = perPartition * partitions;
        KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(props, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.assign(parts);
        while (sums.records < want) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(sums.records + " of " + want + " records read: time is up");
            }
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(500))) {
                if (sums.records == 0) {
                    sums.firstNanos = System.nanoTime();
                }
                if (left[r.partition()]-- <= 0) {
                    continue;
                }
                sums.records++;
                sums.offsetSum += r.offset();
                sums.bytes += (r.key() == null ? 0 : r.key().length) + (r.value() == null ? 0 : r.value().length);
                for (Header h : r.headers()) {
                    sums.bytes += h.key().length() + (h.value() == null ? 0 : h.value().length);
                }
            }
        }
    }

    static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9;
    }

    /** The VmHWM of the process, in bytes; 0 where there is no /proc. */
    static long peakRSS() throws Exception {
        Path status = Path.of("/proc/self/status");
        if (!Files.exists(status)) {
            return 0;
        }
        for (String line : Files.readAllLines(status)) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        return 0;
    }
}
