// Package protocol turns Kafka's wire protocol into Go values and back: the requests and responses a consumer
// exchanges with brokers, their headers and frames, Kafka's error codes, and record batches. It opens no sockets,
// starts no goroutines, reads no clock and logs nothing.
//
// It is public for services that inspect or fake Kafka traffic. It may change in any release before version 1
// of this module.
//
// # Messages
//
// Every API has one file with its request and its response. The structs carry Kafka's own field names in Go form
// (Id becomes ID; the schemas are the common/message/*.json files inside Kafka's clients jar), and one struct serves all
// versions of the message that [Versions] names: a field that a version does not have is left out when writing and
// has the schema's default after reading. Nullable strings are pointers, nullable byte slices and arrays are null when nil.
//
// A zero struct is not always the schema's default: an unknown leader epoch is -1, not 0. Fields where they differ
// say so; where it would hurt there is a constructor, such as [NewFetchRequestPartition].
//
// Some requests have one form in old versions and another in newer ones (a name, then an id; one group, then many). Fill in
// both to send it in whichever version a broker speaks; a request that has only the form of other versions is an [*EncodeError].
//
// # Memory
//
// Decoded byte slices (record sets, group metadata and assignments) alias the input: they are valid as long as the input is
// neither changed nor reused, and keep it in memory. Decoded strings are copies. [ReadFetchResponse]
// puts record sets into memory that its caller provides and keeps nothing.
//
// No length or count from the wire is believed: each is checked against the bytes that are left before
// anything is allocated for it. Malformed input is a [*DecodeError] that names the message, the field and the byte, never a panic.
package protocol
