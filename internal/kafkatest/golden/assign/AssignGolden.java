import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.*;
import org.apache.kafka.common.*;

/** Prints random groups, one a line, with what the Java client's assignors make of them; see README.md. */
@SuppressWarnings("removal") // ConsumerGroupMetadata has no other constructor that takes a generation
public class AssignGolden {
    static final Random random = new Random(881);
    static final int GROUPS = 400;

    record Member(String id, String instance, String rack, List<String> topics, List<TopicPartition> owned, int generation) {}

    public static void main(String[] args) {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        for (int i = 0; i < GROUPS; i++) out.println(group(i % 7));
        out.flush();
    }

    static String group(int kind) {
        boolean all = kind == 5;
        boolean racks = all || kind == 1, instances = all || kind == 2, unequal = all || kind == 3, missing = all || kind == 4;
        List<Node> nodes = nodes(racks);
        SortedMap<String, List<PartitionInfo>> topics = topics(nodes);
        List<Member> members = new ArrayList<>();
        Map<TopicPartition, Integer> taken = new HashMap<>();
        int count = 1 + random.nextInt(9), generation = 1 + random.nextInt(5);
        List<String> common = subset(topics.keySet(), 0.8, missing);
        for (int m = 0; m < count; m++) {
            String id = (kind == 6 ? strange() : "consumer-") + random.nextInt(1000) + "-" + m;
            String instance = instances && random.nextInt(3) > 0 ? (all ? strange() : "instance-") + random.nextInt(1000) + "-" + m : null;
            String rack = racks && random.nextInt(5) > 0 ? "rack-" + random.nextInt(4) : null;
            List<String> subscribed = unequal ? subset(topics.keySet(), 0.6, missing) : shuffled(common);
            // Now and then a member missed a generation, and claims what others have by now.
            int since = random.nextInt(8) == 0 ? generation - 1 : generation;
            members.add(new Member(id, instance, rack, subscribed, owned(topics, subscribed, taken, since), since));
        }
        return json(topics, members, new Cluster("golden", nodes, partitions(topics), Set.of(), Set.of()));
    }

    static List<Node> nodes(boolean racks) {
        int brokers = 1 + random.nextInt(6);
        List<Node> nodes = new ArrayList<>();
        for (int n = 0; n < brokers; n++)
            nodes.add(new Node(n, "b" + n, 9092, racks && random.nextInt(10) > 0 ? "rack-" + random.nextInt(3) : null));
        return nodes;
    }

    static SortedMap<String, List<PartitionInfo>> topics(List<Node> nodes) {
        SortedMap<String, List<PartitionInfo>> topics = new TreeMap<>();
        int count = 1 + random.nextInt(5), usual = 1 + random.nextInt(12);
        for (int t = 0; t < count; t++) {
            String topic = "t" + random.nextInt(50);
            int partitions = random.nextBoolean() ? usual : 1 + random.nextInt(15), copies = 1 + random.nextInt(Math.min(3, nodes.size()));
            List<PartitionInfo> list = new ArrayList<>();
            for (int p = 0; p < partitions; p++) {
                Node[] replicas = shuffled(nodes).subList(0, copies).toArray(new Node[0]);
                list.add(new PartitionInfo(topic, p, replicas[0], replicas, replicas));
            }
            topics.put(topic, list);
        }
        return topics;
    }

    static List<PartitionInfo> partitions(Map<String, List<PartitionInfo>> topics) {
        return shuffled(topics.values().stream().flatMap(List::stream).collect(Collectors.toList()));
    }

    static List<String> subset(Set<String> topics, double share, boolean missing) {
        List<String> result = new ArrayList<>();
        for (String t : topics) if (random.nextDouble() < share) result.add(t);
        if (missing && random.nextBoolean()) result.add("gone" + random.nextInt(3));
        return shuffled(result);
    }

    static <T> List<T> shuffled(Collection<T> from) {
        List<T> list = new ArrayList<>(from);
        Collections.shuffle(list, random);
        return list;
    }

    static List<TopicPartition> owned(Map<String, List<PartitionInfo>> topics, List<String> subscribed,
                                      Map<TopicPartition, Integer> taken, int generation) {
        List<TopicPartition> owned = new ArrayList<>();
        int greed = random.nextInt(4); // some own nothing, some much
        for (String topic : subscribed) {
            for (PartitionInfo p : topics.getOrDefault(topic, List.of())) {
                TopicPartition tp = new TopicPartition(topic, p.partition());
                Integer other = taken.get(tp);
                if (random.nextInt(4) < greed && (other == null || other != generation)) {
                    taken.put(tp, generation);
                    owned.add(tp);
                }
            }
        }
        return owned;
    }

    /** The start of an id: ASCII, the end of the basic plane, or beyond it, which sorts before that in UTF-16. */
    static String strange() {
        return new String[] {"a", "\u00e9", "\uff21", "\ud83d\ude00", "\ud83d\ude01", "\ud800\udc00"}[random.nextInt(6)];
    }

    static String json(SortedMap<String, List<PartitionInfo>> topics, List<Member> members, Cluster cluster) {
        StringBuilder json = new StringBuilder("{\"topics\":{");
        json.append(topics.entrySet().stream().map(e -> quote(e.getKey()) + ":" + e.getValue().stream().map(p ->
            Arrays.stream(p.replicas()).map(Node::rack).filter(Objects::nonNull).map(AssignGolden::quote).collect(list())).collect(list()))
            .collect(Collectors.joining(",")));
        json.append("},\"members\":").append(members.stream().map(AssignGolden::json).collect(list()));
        for (ConsumerPartitionAssignor a : List.of(new RangeAssignor(), new RoundRobinAssignor(), new StickyAssignor())) {
            Map<String, Subscription> group = new HashMap<>();
            for (Member m : members) {
                boolean sticky = a instanceof StickyAssignor;
                Subscription s = new Subscription(m.topics, sticky ? stickyData(m) : null, List.of(), m.generation, Optional.ofNullable(m.rack));
                s.setGroupInstanceId(Optional.ofNullable(m.instance));
                group.put(m.id, s);
            }
            Map<String, Assignment> result = a.assign(cluster, new GroupSubscription(group)).groupAssignment();
            json.append(",").append(quote(a.name())).append(":{").append(new TreeMap<>(result).entrySet().stream()
                .map(e -> quote(e.getKey()) + ":" + json(e.getValue().partitions())).collect(Collectors.joining(","))).append("}");
        }
        return json.append("}").toString();
    }

    static String json(Member m) {
        StringBuilder json = new StringBuilder("{\"id\":" + quote(m.id));
        if (m.instance != null) json.append(",\"instance\":").append(quote(m.instance));
        if (m.rack != null) json.append(",\"rack\":").append(quote(m.rack));
        json.append(",\"topics\":").append(m.topics.stream().map(AssignGolden::quote).collect(list()));
        json.append(",\"owned\":").append(json(m.owned)).append(",\"generation\":").append(m.generation);
        CooperativeStickyAssignor cooperative = new CooperativeStickyAssignor();
        cooperative.onAssignment(new Assignment(m.owned), new ConsumerGroupMetadata("golden", m.generation, m.id, Optional.empty()));
        json.append(",\"stickyData\":\"").append(hex(stickyData(m)));
        json.append("\",\"cooperativeData\":\"").append(hex(cooperative.subscriptionUserData(Set.copyOf(m.topics)))).append("\"}");
        return json.toString();
    }

    static ByteBuffer stickyData(Member m) {
        StickyAssignor sticky = new StickyAssignor();
        sticky.onAssignment(new Assignment(m.owned), new ConsumerGroupMetadata("golden", m.generation, m.id, Optional.empty()));
        return sticky.subscriptionUserData(Set.copyOf(m.topics));
    }

    /** Partitions by topic, each sorted: the order of an assignment means nothing. */
    static String json(List<TopicPartition> partitions) {
        SortedMap<String, SortedSet<Integer>> byTopic = new TreeMap<>();
        for (TopicPartition tp : partitions) byTopic.computeIfAbsent(tp.topic(), t -> new TreeSet<>()).add(tp.partition());
        return "{" + byTopic.entrySet().stream().map(e -> quote(e.getKey()) + ":" + e.getValue().stream().map(String::valueOf).collect(list()))
            .collect(Collectors.joining(",")) + "}";
    }

    static java.util.stream.Collector<CharSequence, ?, String> list() {
        return Collectors.joining(",", "[", "]");
    }

    static String hex(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    static String quote(String s) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : s.toCharArray()) quoted.append(c < 128 ? String.valueOf(c) : String.format("\\u%04x", (int) c));
        return quoted.append('"').toString();
    }
}
