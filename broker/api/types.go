// Package api is the vocabulary of Reprise: the messages that cross a network
// (api.proto), the named numbers, and the table of errors. It has no behaviour
// beyond encoding and never imports another package of the project.
package api

import "hash/crc32"

//go:generate make -C ../.. generate

// NodeID names a node; meta gives it out, never twice. 0 is none.
type NodeID uint64

// GroupID names a raft group, never given out twice. Group 0 is meta.
type GroupID uint64

// MetaGroup is the group that holds nodes, topics and producer ids.
const MetaGroup GroupID = 0

// GroupsTopic is the topic whose partitions hold not records but consumer groups. Nobody
// produces to it or reads it.
const GroupsTopic = "__groups"

// GroupShard is the partition of GroupsTopic that has a group, where the topic has so many
// partitions.
func GroupShard(group string, partitions int) Partition {
	if partitions <= 0 {
		return 0
	}
	return Partition(crc32.Checksum([]byte(group), castagnoli) % uint32(partitions))
}

// ReplicaID is the raft id of one incarnation of a replica. Meta never gives one
// out twice in a group. 0 is none.
type ReplicaID uint64

// TopicID names one incarnation of a topic. 0 is none.
type TopicID uint64

// Partition numbers a topic's partitions from 0.
type Partition int32

// Offset numbers the records of a partition from 0, densely.
type Offset int64

// Index numbers the entries of a raft log; the first state frame stands at 1.
type Index uint64

// Term is a raft term.
type Term uint64

// ProducerID names an idempotent producer, from 1. 0 is none.
type ProducerID int64

// Epoch counts the incarnations of a producer id, from 0 to 32767.
type Epoch int16

// Sequence numbers a producer's records in a partition, from 0; after 2^31-1
// comes 0.
type Sequence int32

// Milliseconds of the wall clock since the Unix epoch.
type Milliseconds int64
