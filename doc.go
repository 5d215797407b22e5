// Package kafka reads messages from Apache Kafka, from brokers of version 2.1 on.
//
//	consumer, err := kafka.NewConsumer(
//		kafka.WithBootstrapServers("localhost:9092"),
//		kafka.WithTopics("orders"),
//		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
//	)
//	if err != nil {
//		return err
//	}
//	if err := consumer.Start(ctx); err != nil {
//		return err
//	}
//	defer consumer.Close()
//	for msg := range consumer.Messages() {
//		fmt.Println(msg.Topic, msg.Partition, msg.Offset, string(msg.Value))
//	}
//	return consumer.Err()
//
// # Life of a consumer
//
// [NewConsumer] checks the options and touches no network. [Consumer.Start] connects and returns with the first
// assignment. [Consumer.Stop] commits what is settled, and ends everything within its ctx; [Consumer.Close] is Stop with a
// bounded wait. All methods may be called from many goroutines. The work is done in the background: heartbeats, rebalances and
// commits do not depend on polling.
//
// # Taking messages
//
// [Consumer.Messages] and [Consumer.All] are loops, [Consumer.GetOne] takes one message and [Consumer.GetMany] what is
// there, narrowed by [FromPartitions], [WaitFor] and [UpTo]. [Typed] gives them decoded. They wait for as long as it takes:
// what passes by itself (brokers away, leaders moving) is retried inside and never an error. Partitions that have messages
// take turns; within one, the order is the log's.
//
// A [Message] points into the memory of the batch it came in; [Message.Clone] makes one to keep. [Consumer.Batches] is the fast
// path: it lends messages, a [Batch] at a time, in memory that is used again when the turn of the loop ends.
//
// # Positions and commits
//
// The position in a partition is the offset of the next message to hand out; it moves when a message is handed out, and past
// records that never are. [Consumer.Seek] and its like set it. No message that was fetched before a seek, or before its
// partition was paused or taken away, is handed out afterwards.
//
// With a group id ([WithGroupID]), positions are committed: by hand with [Consumer.Commit], [Consumer.CommitOffsets] and
// [Consumer.CommitMessages], or by time in the background ([WithAutoCommit]). The latter commits what is settled only: a
// message is settled when the application has asked for the next one. A program that crashes in the middle of a message
// therefore gets it again.
//
// A partition without a valid position starts as [WithAutoOffsetReset] says; [ResetLatest] is the default.
//
// # Groups
//
// With a group id, a consumer that subscribes to topics ([WithTopics], [Consumer.Subscribe]) or to a pattern
// ([Consumer.SubscribePattern]) joins the group and shares the partitions with its other members; heartbeats and
// rebalances are the background's business. A [RebalanceListener] is told what comes and goes. Groups of one's own are best
// served by WithAssignors([CooperativeStickyAssignor]). Partitions taken by hand ([Consumer.Assign]) have no part in that.
//
// # Errors
//
// Sentinels are for [errors.Is]: [ErrConsumerStopped], [ErrNotStarted], [ErrIllegalState], and Kafka's codes, which are
// constants of protocol.ErrorCode. Types with fields are for [errors.As], such as [*CorruptRecordError]; each says what to
// do next where there is something, also as Hint. An error of one partition comes after the messages before it, is told
// until it is dealt with, and keeps no other partition from being read.
//
// # Memory
//
// What is fetched and not yet handed out is bounded by [WithMaxBufferedBytes], a single batch by [WithMaxBatchBytes]. Memory
// is charged before it is taken. What has been handed out is the application's.
//
// # Not there yet
//
// TLS and SASL: only plaintext listeners without authentication can be read from, but for what [WithDialer] brings.
//
// # More
//
// The folder docs has a guide, every option, every error, what to watch in operation, and the design. The folder examples
// has a program for each subject.
package kafka
