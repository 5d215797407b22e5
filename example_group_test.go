package kafka_test

import (
	"fmt"
	"log"
	"slices"

	"github.com/seed-7379b4e8/kafka"
)

// A standby is an assignor under which spare members get partitions only when nobody else is there. The rest it leaves to the
// assignor that it is made of.
type standby struct {
	kafka.Assignor
	spare bool
}

func (s standby) Name() string { return "standby" } // all members of the group have to have it

func (s standby) UserData([]kafka.TopicPartition, int32) []byte {
	if s.spare {
		return []byte("spare")
	}
	return nil
}

func (s standby) Assign(members []kafka.GroupMember, topics map[string][]kafka.PartitionInfo) (map[string][]kafka.TopicPartition, error) {
	active := slices.DeleteFunc(slices.Clone(members), func(m kafka.GroupMember) bool { return string(m.UserData) == "spare" })
	if len(active) == 0 {
		active = members
	}
	return s.Assignor.Assign(active, topics)
}

// Members of a group may share by an assignor of your own. It is plain code, which a test calls as the group's leader does.
func ExampleAssignor() {
	spare := standby{Assignor: kafka.RoundRobinAssignor, spare: true}
	_, err := kafka.NewConsumer(
		kafka.WithTopics("orders"),
		kafka.WithGroupID("billing"),
		kafka.WithAssignors(spare),
	)
	if err != nil {
		log.Fatal(err)
	}

	members := []kafka.GroupMember{
		{ID: "one", Topics: []string{"orders"}},
		{ID: "two", Topics: []string{"orders"}},
		{ID: "three", Topics: []string{"orders"}, UserData: spare.UserData(nil, -1)},
	}
	topics := map[string][]kafka.PartitionInfo{"orders": {{Partition: 0}, {Partition: 1}, {Partition: 2}, {Partition: 3}}}
	shares, err := spare.Assign(members, topics)
	fmt.Println(shares, err)
	shares, err = spare.Assign(members[2:], topics)
	fmt.Println(shares, err)
	// Output:
	// map[one:[orders-0 orders-2] two:[orders-1 orders-3]] <nil>
	// map[three:[orders-0 orders-1 orders-2 orders-3]] <nil>
}
