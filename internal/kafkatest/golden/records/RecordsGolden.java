import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/**
 * Writes record sets with the Java client's own MemoryRecordsBuilder, and beside each what the Java client reads from it: one JSON
 * object a line. It has no randomness and no clock, so that a second run gives the same file.
 */
public class RecordsGolden {
    static final long TIME = 1_700_000_000_000L;

    /** A record to write. */
    record In(long offset, long timestamp, byte[] key, byte[] value, Header... headers) {}

    /** How to write a batch: a builder's many arguments, with what most cases want. */
    static class Batch {
        byte magic = 2;
        Compression codec = Compression.NONE;
        TimestampType type = TimestampType.CREATE_TIME;
        long baseOffset = 0;
        long producerId = RecordBatch.NO_PRODUCER_ID;
        short producerEpoch = RecordBatch.NO_PRODUCER_EPOCH;
        int baseSequence = RecordBatch.NO_SEQUENCE;
        boolean transactional = false;
        int leaderEpoch = RecordBatch.NO_PARTITION_LEADER_EPOCH;
        long deleteHorizon = RecordBatch.NO_TIMESTAMP;
        long lastOffset = -1;

        byte[] write(List<In> records) {
            long appendTime = type == TimestampType.LOG_APPEND_TIME ? TIME + 5000 : RecordBatch.NO_TIMESTAMP;
            MemoryRecordsBuilder b = new MemoryRecordsBuilder(new ByteBufferOutputStream(1 << 12), magic, codec, type, baseOffset,
                appendTime, producerId, producerEpoch, baseSequence, transactional, false, leaderEpoch, 1 << 30, deleteHorizon);
            for (In r : records) {
                b.appendWithOffset(r.offset, r.timestamp, r.key, r.value, r.headers);
            }
            if (lastOffset >= 0) {
                b.overrideLastOffset(lastOffset);
            }
            return bytes(b.build().buffer());
        }
    }

    public static void main(String[] args) throws Exception {
        byte[][] mixed = new byte[3][];
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType c : CompressionType.values()) {
                if (c == CompressionType.ZSTD && magic < 2) {
                    continue;
                }
                for (TimestampType t : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                    if (magic == 0 && t == TimestampType.LOG_APPEND_TIME) {
                        continue;
                    }
                    Batch b = new Batch();
                    b.magic = magic;
                    b.codec = Compression.of(c).build();
                    b.type = t;
                    b.baseOffset = 40;
                    byte[] set = b.write(small(magic, 40));
                    mixed[magic] = c == CompressionType.GZIP ? set : mixed[magic];
                    emit("magic" + magic + "-" + c.name + "-" + (t == TimestampType.CREATE_TIME ? "create" : "append"), set);
                }
                Batch b = new Batch();
                b.magic = magic;
                b.codec = Compression.of(c).build();
                if (c != CompressionType.NONE) {
                    emit("magic" + magic + "-" + c.name + "-large", b.write(large()));
                }
                emit("magic" + magic + "-" + c.name + "-one", b.write(List.of(new In(0, TIME, null, null))));
                emit("magic" + magic + "-" + c.name + "-incompressible", b.write(List.of(new In(0, TIME, null, noise(600)))));
            }
        }
        emit("mixed-magics", join(mixed[0], mixed[1], mixed[2]));
        levels();
        headers();
        producers();
        control();
        compaction();
    }

    /** Null, empty and plain keys and values, timestamps that go back and are missing. */
    static List<In> small(byte magic, long base) {
        List<In> l = new ArrayList<>();
        l.add(new In(base, TIME, utf8("key"), utf8("value")));
        l.add(new In(base + 1, TIME - 1, null, utf8("no key")));
        l.add(new In(base + 2, TIME + 70_000, utf8("tombstone"), null));
        l.add(new In(base + 3, TIME, new byte[0], new byte[0]));
        l.add(magic == 2
            ? new In(base + 4, TIME, utf8("k"), utf8("v"), header("h", "1"), header("h", ""), header("", null))
            : new In(base + 4, TIME, utf8("k"), utf8("v")));
        return l;
    }

    /** 150 KB that compress well: several lz4, xerial and zstd blocks. */
    static List<In> large() {
        List<In> l = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            byte[] v = new byte[5000];
            for (int j = 0; j < v.length; j++) {
                v[j] = (byte) ("some words that come again " + i).charAt(j % 28);
            }
            l.add(new In(i, TIME + i, utf8("key-" + i), v));
        }
        return l;
    }

    static void levels() throws Exception {
        Batch b = new Batch();
        b.codec = Compression.gzip().level(9).build();
        emit("gzip-level9", b.write(large()));
        b.codec = Compression.lz4().level(17).build();
        emit("lz4-level17", b.write(large()));
        for (int level : new int[] {-5, 1, 19, 22}) {
            b.codec = Compression.zstd().level(level).build();
            emit("zstd-level" + level, b.write(large()));
        }
    }

    static void headers() throws Exception {
        Header[] many = new Header[100];
        for (int i = 0; i < many.length; i++) {
            many[i] = header("header-" + i, i % 3 == 0 ? null : "v".repeat(i));
        }
        Batch b = new Batch();
        emit("headers-many", b.write(List.of(new In(0, TIME, null, null, many))));
        emit("headers-utf8", b.write(List.of(new In(0, TIME, null, null, header("schlüssel-鍵", "wert-値")))));
        emit("headers-long", b.write(List.of(new In(0, TIME, null, null, header("k".repeat(300), "v".repeat(300))))));
    }

    static void producers() throws Exception {
        Batch b = new Batch();
        b.producerId = 4711;
        b.producerEpoch = 3;
        b.baseSequence = 17;
        b.leaderEpoch = 9;
        b.baseOffset = 1L << 40;
        emit("idempotent", b.write(small((byte) 2, b.baseOffset)));
        b.transactional = true;
        b.codec = Compression.lz4().build();
        emit("transactional-lz4", b.write(small((byte) 2, b.baseOffset)));
        b = new Batch();
        b.baseOffset = Long.MAX_VALUE - 10;
        emit("highest-offsets", b.write(small((byte) 2, b.baseOffset)));
        b = new Batch();
        emit("no-timestamps", b.write(List.of(new In(0, -1, null, utf8("a")), new In(1, -1, null, utf8("b")))));
        emit("far-timestamps", b.write(List.of(new In(0, 0, null, utf8("a")), new In(1, Long.MAX_VALUE, null, utf8("b")))));
    }

    static void control() throws Exception {
        for (ControlRecordType t : List.of(ControlRecordType.ABORT, ControlRecordType.COMMIT)) {
            MemoryRecords m = MemoryRecords.withEndTransactionMarker(100, TIME, 5, 4711, (short) 3, new EndTransactionMarker(t, 12));
            emit("control-" + t.name().toLowerCase(), bytes(m.buffer()));
        }
        MemoryRecords m = MemoryRecords.withLeaderChangeMessage(7, TIME, 2, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setLeaderId(1));
        emit("control-leader-change", bytes(m.buffer()));
    }

    /** What compaction leaves: gaps, a last offset beyond the last record, delete horizons, empty batches. */
    static void compaction() throws Exception {
        Batch b = new Batch();
        b.baseOffset = 200;
        b.lastOffset = 230;
        emit("compacted-gaps", b.write(List.of(new In(203, TIME, utf8("a"), utf8("1")), new In(220, TIME, utf8("b"), null))));
        b.deleteHorizon = TIME + 86_400_000;
        emit("delete-horizon", b.write(List.of(new In(203, TIME, utf8("a"), null), new In(220, TIME + 1, utf8("b"), null))));
        ByteBuffer empty = ByteBuffer.allocate(61);
        DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 4711, (short) 3, 21, 300, 309, 5, TimestampType.CREATE_TIME, -1, true, false);
        empty.flip();
        emit("empty-batch", bytes(empty));

        Batch v1 = new Batch();
        v1.magic = 1;
        v1.codec = Compression.gzip().build();
        v1.baseOffset = 10;
        emit("magic1-gaps", v1.write(List.of(new In(10, TIME, utf8("a"), utf8("1")), new In(14, TIME, utf8("b"), utf8("2")),
            new In(19, TIME, utf8("c"), utf8("3")))));
    }

    /** Reads set back with the Java client and prints it with what was read. */
    static void emit(String name, byte[] set) throws Exception {
        StringBuilder out = new StringBuilder();
        out.append("{\"name\":\"").append(name).append("\",\"set\":\"").append(Base64.getEncoder().encodeToString(set)).append("\",\"batches\":[");
        String sep = "";
        for (MutableRecordBatch b : MemoryRecords.readableRecords(ByteBuffer.wrap(set)).batches()) {
            out.append(sep);
            sep = ",";
            batch(out, b);
        }
        System.out.println(out.append("]}"));
    }

    static void batch(StringBuilder out, MutableRecordBatch b) throws Exception {
        b.ensureValid();
        out.append("{\"magic\":").append(b.magic()).append(",\"base\":").append(b.baseOffset()).append(",\"last\":").append(b.lastOffset())
            .append(",\"next\":").append(b.nextOffset()).append(",\"codec\":").append(b.compressionType().id)
            .append(",\"producer\":").append(b.producerId()).append(",\"producerEpoch\":").append(b.producerEpoch())
            .append(",\"sequence\":").append(b.baseSequence()).append(",\"leaderEpoch\":").append(b.partitionLeaderEpoch())
            .append(",\"transactional\":").append(b.isTransactional()).append(",\"control\":").append(b.isControlBatch())
            .append(",\"timestampType\":").append(b.timestampType().id)
            .append(",\"maxTimestamp\":").append(b.maxTimestamp())
            .append(",\"deleteHorizon\":").append(b.deleteHorizonMs().isPresent() ? b.deleteHorizonMs().getAsLong() : -1);
        out.append(",\"records\":[");
        String sep = "";
        try (var it = b.streamingIterator(BufferSupplier.NO_CACHING)) {
            while (it.hasNext()) {
                out.append(sep);
                sep = ",";
                Record r = it.next();
                out.append("{\"offset\":").append(r.offset()).append(",\"timestamp\":").append(r.timestamp());
                if (b.isControlBatch()) {
                    out.append(",\"controlType\":").append(ControlRecordType.parseTypeId(r.key()));
                }
                out.append(",\"key\":").append(text(bytesOrNull(r.key()))).append(",\"value\":").append(text(bytesOrNull(r.value())));
                out.append(",\"headers\":[");
                String hsep = "";
                for (Header h : r.headers()) {
                    out.append(hsep).append("[").append(text(utf8(h.key()))).append(",").append(text(h.value())).append("]");
                    hsep = ",";
                }
                out.append("]}");
            }
        }
        out.append("]}");
    }

    /** Base64; of something long its length and SHA-256. */
    static String text(byte[] b) throws Exception {
        if (b == null) {
            return "null";
        }
        if (b.length > 1000) {
            return "\"" + b.length + ":" + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(b)) + "\"";
        }
        return "\"" + Base64.getEncoder().encodeToString(b) + "\"";
    }

    static byte[] noise(int n) {
        byte[] b = new byte[n];
        int x = 12345;
        for (int i = 0; i < n; i++) {
            x = x * 1103515245 + 12345;
            b[i] = (byte) (x >>> 16);
        }
        return b;
    }

    static Header header(String key, String value) {
        return new RecordHeader(key, value == null ? null : utf8(value));
    }

    static byte[] utf8(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] bytesOrNull(ByteBuffer b) {
        return b == null ? null : bytes(b);
    }

    static byte[] bytes(ByteBuffer b) {
        byte[] out = new byte[b.remaining()];
        b.duplicate().get(out);
        return out;
    }

    static byte[] join(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(1 << 16);
        for (byte[] p : parts) {
            all.put(p);
        }
        all.flip();
        return bytes(all);
    }
}
