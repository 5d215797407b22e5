import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.InputStream;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.RawTaggedField;

/** Writes messages as the Java client's own classes do. See README.md. */
public class Golden {
    static final List<ApiMessageType> APIS = List.of(
        ApiMessageType.FETCH, ApiMessageType.LIST_OFFSETS, ApiMessageType.METADATA, ApiMessageType.OFFSET_COMMIT,
        ApiMessageType.OFFSET_FETCH, ApiMessageType.FIND_COORDINATOR, ApiMessageType.JOIN_GROUP, ApiMessageType.HEARTBEAT,
        ApiMessageType.LEAVE_GROUP, ApiMessageType.SYNC_GROUP, ApiMessageType.API_VERSIONS,
        ApiMessageType.OFFSET_FOR_LEADER_EPOCH, ApiMessageType.SASL_HANDSHAKE, ApiMessageType.SASL_AUTHENTICATE);

    static final List<String> DATA = List.of("ConsumerProtocolSubscription", "ConsumerProtocolAssignment");

    static final ObjectMapper JSON = new ObjectMapper().configure(JsonParser.Feature.ALLOW_COMMENTS, true);
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[0]);
        for (ApiMessageType api : APIS) {
            try (PrintWriter out = open(dir.resolve(api.name + ".jsonl"))) {
                writeMessages(out, api, "request");
                writeMessages(out, api, "response");
            }
        }
        for (String name : DATA) {
            try (PrintWriter out = open(dir.resolve(name + ".jsonl"))) {
                writeData(out, name);
            }
        }
        writeApis(dir.resolve("apis.tsv"));
        writeErrors(dir.resolve("errors.tsv"));
    }

    static PrintWriter open(Path file) throws Exception {
        return new PrintWriter(Files.newBufferedWriter(file));
    }

    static void writeMessages(PrintWriter out, ApiMessageType api, String kind) throws Exception {
        String name = api.name + (kind.equals("request") ? "Request" : "Response");
        JsonNode schema = schema(name);
        for (short v = api.lowestSupportedVersion(); v <= api.highestSupportedVersion(true); v++) {
            short headerVersion = kind.equals("request") ? api.requestHeaderVersion(v) : api.responseHeaderVersion(v);
            Message header = kind.equals("request")
                ? new RequestHeaderData().setRequestApiKey(api.apiKey()).setRequestApiVersion(v).setCorrelationId(1234567).setClientId("golden")
                : new ResponseHeaderData().setCorrelationId(1234567);
            for (Sample sample : samples(name, schema, v, api.requestHeaderVersion(v) >= 2)) {
                write(out, kind, v, sample, HEX.formatHex(bytes(header, headerVersion)));
            }
        }
    }

    /** Messages that are embedded in others, with their version before them. */
    static void writeData(PrintWriter out, String name) throws Exception {
        JsonNode schema = schema(name);
        Range versions = Range.of(schema.get("validVersions").asText());
        for (short v = versions.low; v <= versions.high; v++) {
            for (Sample sample : samples(name, schema, v, false)) {
                write(out, "data", v, sample, String.format("%04x", v));
            }
        }
    }

    static void write(PrintWriter out, String kind, short v, Sample sample, String header) throws Exception {
        ObjectNode line = JSON.createObjectNode();
        line.put("kind", kind);
        line.put("version", v);
        line.put("sample", sample.name);
        line.put("header", header);
        line.put("body", HEX.formatHex(bytes(sample.message, v)));
        line.set("json", sample.json);
        out.println(JSON.writeValueAsString(line));
    }

    static byte[] bytes(Message message, short v) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, v));
        message.write(new ByteBufferAccessor(buffer), cache, v);
        return buffer.array();
    }

    /** One message, and Java's JSON of it. */
    record Sample(String name, Message message, JsonNode json) { }

    static List<Sample> samples(String name, JsonNode schema, short v, boolean flexible) throws Exception {
        List<Sample> out = new ArrayList<>();
        for (String sample : List.of("empty", "full", "random", "random 2", "random 3", "unknown tags")) {
            if (sample.equals("unknown tags") && !flexible) {
                continue;
            }
            ObjectNode values = new Filler(sample, v, new Random((name + sample).hashCode() * 31L + v), schema).struct(schema.get("fields"));
            Message message = (Message) converter(name, "read", JsonNode.class, short.class).invoke(null, values, v);
            JsonNode json = json(name, message, v);
            restoreRecords(values, json);
            if (sample.equals("unknown tags")) {
                addUnknownTags(message);
            }
            out.add(new Sample(sample, message, json));
        }
        return out;
    }

    static JsonNode json(String name, Message message, short v) throws Exception {
        for (Method m : converterClass(name).getMethods()) {
            if (m.getName().equals("write") && m.getParameterCount() == 3) {
                return (JsonNode) m.invoke(null, message, v, true); // true: records, too
            }
        }
        throw new IllegalStateException("no write method for " + name);
    }

    /** Puts record sets, which the converter leaves out of what it writes, back into the JSON. */
    static void restoreRecords(JsonNode from, JsonNode to) {
        for (int i = 0; from.isArray() && i < from.size(); i++) {
            restoreRecords(from.get(i), to.get(i));
        }
        if (!(from instanceof ObjectNode object)) {
            return;
        }
        for (var field : object.properties()) {
            if (field.getKey().equals("records")) {
                ((ObjectNode) to).set("records", field.getValue());
            } else if (to.has(field.getKey())) { // a tagged field at its default is not there
                restoreRecords(field.getValue(), to.get(field.getKey()));
            }
        }
    }

    static Class<?> converterClass(String name) throws Exception {
        String data = DATA.contains(name) ? name : name + "Data";
        return Class.forName("org.apache.kafka.common.message." + data + "JsonConverter");
    }

    static Method converter(String name, String method, Class<?>... parameters) throws Exception {
        return converterClass(name).getMethod(method, parameters);
    }

    /** Adds tagged fields that no schema knows to a message and all the structs in it. */
    static void addUnknownTags(Object value) throws Exception {
        if (value instanceof Iterable<?> elements) {
            for (Object element : elements) {
                addUnknownTags(element);
            }
        }
        if (!(value instanceof Message message)) {
            return;
        }
        for (Method m : message.getClass().getMethods()) {
            boolean holdsStructs = Iterable.class.isAssignableFrom(m.getReturnType()) || Message.class.isAssignableFrom(m.getReturnType());
            if (m.getParameterCount() == 0 && holdsStructs && m.getDeclaringClass() == message.getClass()
                && !List.of("duplicate", "unknownTaggedFields").contains(m.getName())) {
                Object held = m.invoke(message);
                if (held instanceof Message struct && struct.equals(struct.getClass().getDeclaredConstructor().newInstance())) {
                    continue; // a tagged struct at its default is absent, and must stay so
                }
                addUnknownTags(held);
            }
        }
        message.unknownTaggedFields().add(new RawTaggedField(100, new byte[0]));
        message.unknownTaggedFields().add(new RawTaggedField(5000000, new byte[] {1, 2, 3}));
    }

    static JsonNode schema(String name) throws Exception {
        try (InputStream in = Golden.class.getResourceAsStream("/common/message/" + name + ".json")) {
            return JSON.readTree(in);
        }
    }

    static void writeApis(Path file) throws Exception {
        try (PrintWriter out = open(file)) {
            out.println("key\tname\tlowest\thighest\tversion\trequest header\tresponse header");
            for (ApiMessageType api : APIS) {
                for (short v = api.lowestSupportedVersion(); v <= api.highestSupportedVersion(true); v++) {
                    out.printf("%d\t%s\t%d\t%d\t%d\t%d\t%d%n", api.apiKey(), api.name, api.lowestSupportedVersion(),
                        api.highestSupportedVersion(true), v, api.requestHeaderVersion(v), api.responseHeaderVersion(v));
                }
            }
        }
    }

    static void writeErrors(Path file) throws Exception {
        try (PrintWriter out = open(file)) {
            out.println("code\tname\tretriable\tmeaning");
            for (Errors e : Errors.values()) {
                String meaning = e.exception() == null ? "" : e.message();
                out.printf("%d\t%s\t%b\t%s%n", e.code(), e.name(), e.exception() instanceof RetriableException, meaning);
            }
        }
    }
}

/** The versions "2+", "1-4" or "3" of a schema. */
class Range {
    final short low;
    final short high;

    Range(int low, int high) {
        this.low = (short) low;
        this.high = (short) high;
    }

    static Range of(String text) {
        if (text.equals("none")) {
            return new Range(1, 0);
        }
        if (text.endsWith("+")) {
            return new Range(Integer.parseInt(text.substring(0, text.length() - 1)), Short.MAX_VALUE);
        }
        String[] ends = text.split("-");
        return new Range(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
    }

    boolean has(short v) {
        return low <= v && v <= high;
    }
}

/** Makes up the JSON of a message by its schema, as a JsonConverter reads it. */
class Filler {
    private final String sample;
    private final short version;
    private final Random random;
    private final JsonNode schema;

    Filler(String sample, short version, Random random, JsonNode schema) {
        this.sample = sample;
        this.version = version;
        this.random = random;
        this.schema = schema;
    }

    ObjectNode struct(JsonNode fields) {
        ObjectNode out = Golden.JSON.createObjectNode();
        for (JsonNode field : fields) {
            boolean tagged = field.has("taggedVersions") && Range.of(field.get("taggedVersions").asText()).has(version);
            boolean leftOut = tagged && (sample.equals("empty") || sample.startsWith("random") && random.nextInt(3) == 0);
            if (Range.of(field.get("versions").asText()).has(version) && !leftOut) {
                String name = field.get("name").asText();
                out.set(Character.toLowerCase(name.charAt(0)) + name.substring(1), value(field));
            }
        }
        return out;
    }

    private JsonNode value(JsonNode field) {
        boolean nullable = field.has("nullableVersions") && Range.of(field.get("nullableVersions").asText()).has(version);
        if (nullable && (sample.equals("empty") || sample.startsWith("random") && random.nextInt(3) == 0)) {
            return Golden.JSON.nullNode();
        }
        String type = field.get("type").asText();
        if (!type.startsWith("[]")) {
            return single(type, field);
        }
        var out = Golden.JSON.createArrayNode();
        int n = sample.equals("empty") ? 0 : sample.startsWith("random") ? random.nextInt(4) : 2;
        for (int i = 0; i < n; i++) {
            out.add(single(type.substring(2), field));
        }
        return out;
    }

    private JsonNode single(String type, JsonNode field) {
        var f = Golden.JSON.getNodeFactory();
        boolean empty = sample.equals("empty");
        switch (type) {
            case "bool": return f.booleanNode(!empty && (sample.equals("full") || random.nextBoolean()));
            case "int8": return f.numberNode(integer(Byte.MIN_VALUE, Byte.MAX_VALUE));
            case "int16": return f.numberNode(integer(Short.MIN_VALUE, Short.MAX_VALUE));
            case "int32": return f.numberNode(integer(Integer.MIN_VALUE, Integer.MAX_VALUE));
            case "int64": return f.numberNode(integer(Long.MIN_VALUE, Long.MAX_VALUE));
            case "string": return f.textNode(empty ? "" : field.get("name").asText() + "-" + string());
            case "bytes": case "records": return f.binaryNode(empty ? new byte[0] : bytes(random.nextInt(40)));
            case "uuid": return f.textNode(uuid(empty));
            default: return struct(structFields(type, field));
        }
    }

    /** The fields of a struct: beside its use, or among the schema's common structs. */
    private JsonNode structFields(String type, JsonNode field) {
        if (field.has("fields")) {
            return field.get("fields");
        }
        for (JsonNode common : schema.get("commonStructs")) {
            if (common.get("name").asText().equals(type)) {
                return common.get("fields");
            }
        }
        throw new IllegalStateException("no struct " + type);
    }

    private long integer(long min, long max) {
        if (sample.equals("empty")) {
            return 0;
        }
        if (!sample.startsWith("random")) {
            return 1 + random.nextInt((int) Math.min(max, 1_000_000));
        }
        return switch (random.nextInt(4)) {
            case 0 -> min;
            case 1 -> max;
            case 2 -> -1;
            default -> random.nextLong() >> (64 - Long.bitCount(max) - 1);
        };
    }

    private String string() {
        return switch (random.nextInt(5)) {
            case 0 -> "größe-日本-🚀";
            case 1 -> "x".repeat(120 + random.nextInt(20)); // around the two-byte varint
            default -> Integer.toHexString(random.nextInt());
        };
    }

    private byte[] bytes(int n) {
        byte[] out = new byte[n];
        random.nextBytes(out);
        return out;
    }

    private String uuid(boolean zero) {
        return (zero ? org.apache.kafka.common.Uuid.ZERO_UUID
            : new org.apache.kafka.common.Uuid(random.nextLong(), random.nextLong())).toString();
    }
}
