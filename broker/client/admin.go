package client

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// ListOffsets gives the first offset of a partition, or its end: one past the last
// committed record.
func (c *Client) ListOffsets(ctx context.Context, topic string, partition int32, spec api.OffsetSpec) (int64, error) {
	r, err := c.do(ctx, request{
		op: fmt.Sprintf("list the offsets of %s partition %d", topic, partition),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.ListOffsets(topic, api.Partition(partition), spec, timeout, done)
		},
		call: func() histories.Call {
			return histories.Call{Op: histories.ListOffsets, Topic: topic, Partition: api.Partition(partition), Spec: spec}
		},
	})
	return r.Response.GetListOffsets().GetOffset(), err
}

// OffsetAtTime gives the offset of the first record of a partition whose time stamp is
// at or after a time, in milliseconds since 1970, and that time stamp. found is false if
// there is none; the offset is then the end of the log, so that whoever goes on there
// misses none that comes later. Time stamps are the producers': they need not ascend.
func (c *Client) OffsetAtTime(ctx context.Context, topic string, partition int32, time int64) (offset, stamp int64, found bool, err error) {
	r, err := c.do(ctx, request{
		op: fmt.Sprintf("find time %d in %s partition %d", time, topic, partition),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.OffsetAtTime(topic, api.Partition(partition), api.Milliseconds(time), timeout, done)
		},
		call: func() histories.Call {
			return histories.Call{
				Op: histories.ListOffsets, Topic: topic, Partition: api.Partition(partition), Spec: api.OffsetSpec_AT_TIME, Time: time,
			}
		},
	})
	body := r.Response.GetListOffsets()
	return body.GetOffset(), body.GetTime(), body.GetFound(), err
}

// DeleteRecords deletes the records of a partition below an offset, or with -1 all
// that are there now. It gives the first offset that is left.
func (c *Client) DeleteRecords(ctx context.Context, topic string, partition int32, before int64) (int64, error) {
	r, err := c.do(ctx, request{
		op: fmt.Sprintf("delete the records of %s partition %d below offset %d", topic, partition, before),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.DeleteRecords(topic, api.Partition(partition), api.Offset(before), timeout, done)
		},
		call: func() histories.Call {
			return histories.Call{Op: histories.DeleteRecords, Topic: topic, Partition: api.Partition(partition), Offset: api.Offset(before)}
		},
	})
	return r.Response.GetDeleteRecords().GetLogStart(), err
}

// DescribeProducers tells of up to max idempotent producers that a partition knows, the
// latest used first, and how many it knows in all: 0 is 1000, and 10,000 the most that are
// told. It is as new as the call.
func (c *Client) DescribeProducers(ctx context.Context, topic string, partition, max int32) (list []*api.ProducerState, known int, err error) {
	r, err := c.do(ctx, request{
		op: fmt.Sprintf("describe the producers of %s partition %d", topic, partition),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.DescribeProducers(topic, api.Partition(partition), max, timeout, done)
		},
	})
	body := r.Response.GetDescribeProducers()
	return body.GetProducers(), int(body.GetKnown()), err
}

// TopicOptions are what a topic is made with; a zero field takes the cluster's
// default.
type TopicOptions struct {
	// Partitions, at least 1.
	Partitions int32
	// Replicas of each partition (three, or as many as there are nodes).
	Replicas int32
	// SegmentBytes is the size at which a segment is rolled.
	SegmentBytes uint64
	// Configs are set by name, such as retention.ms; see AlterTopic.
	Configs map[string]string
}

// CreateTopic creates a topic. If that is not definite, see whether it is there
// before creating it again.
func (c *Client) CreateTopic(ctx context.Context, topic string, options TopicOptions) error {
	q := &api.CreateTopicRequest{
		Name: topic, Partitions: options.Partitions, ReplicationFactor: options.Replicas, SegmentBytes: options.SegmentBytes,
		Configs: configs(options.Configs),
	}
	_, err := c.do(ctx, request{
		op:    "create topic " + topic,
		start: func(timeout env.Time, done func(core.Result)) { c.core.CreateTopic(q, timeout, done) },
		call: func() histories.Call {
			return histories.Call{Op: histories.CreateTopic, Topic: topic, Partitions: options.Partitions}
		},
	})
	return err
}

// configs lists configs by name.
func configs(byName map[string]string) []*api.TopicConfig {
	var list []*api.TopicConfig
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, &api.TopicConfig{Name: name, Value: byName[name]})
	}
	return list
}

// TopicChange is a change of a topic's configs. Those that it does not name stay.
type TopicChange struct {
	// Set gives configs a value, by name.
	Set map[string]string
	// Unset puts configs back to their defaults.
	Unset []string
	// ValidateOnly: change nothing, only say whether it could be done.
	ValidateOnly bool
}

// AlterTopic changes configs of a topic: max.message.bytes, retention.bytes,
// retention.ms and segment.bytes. Partitions follow within a second or so. What is set
// is found in Metadata. A name or value that cannot be is refused with INVALID_CONFIG.
func (c *Client) AlterTopic(ctx context.Context, topic string, change TopicChange) error {
	_, err := c.do(ctx, request{
		op: "alter topic " + topic,
		start: func(timeout env.Time, done func(core.Result)) {
			q := &api.AlterTopicRequest{Set: configs(change.Set), Unset: change.Unset, ValidateOnly: change.ValidateOnly}
			c.core.AlterTopic(topic, q, timeout, done)
		},
	})
	return err
}

// AddPartitions gives a topic more partitions: as many as it is to have in the end. A
// key may go to another partition from then on. If the outcome is not definite, see how
// many there are before asking again.
func (c *Client) AddPartitions(ctx context.Context, topic string, partitions int32) error {
	_, err := c.do(ctx, request{
		op: fmt.Sprintf("give topic %s %d partitions", topic, partitions),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.AddPartitions(topic, partitions, timeout, done)
		},
	})
	return err
}

// DeleteTopic deletes a topic with all its records.
func (c *Client) DeleteTopic(ctx context.Context, topic string) error {
	_, err := c.do(ctx, request{
		op:    "delete topic " + topic,
		start: func(timeout env.Time, done func(core.Result)) { c.core.DeleteTopic(topic, timeout, done) },
		call:  func() histories.Call { return histories.Call{Op: histories.DeleteTopic, Topic: topic} },
	})
	return err
}

// Metadata says what there is: the nodes, and the topics named, or all of them,
// with their partitions and leaders. It is as new as the call.
func (c *Client) Metadata(ctx context.Context, topics ...string) (*api.MetadataResponse, error) {
	q := &api.MetadataRequest{Linearizable: true}
	for _, name := range topics {
		q.Topics = append(q.Topics, &api.TopicRef{Name: name})
	}
	r, err := c.do(ctx, request{
		op:    fmt.Sprintf("ask for the metadata of %q", topics),
		start: func(timeout env.Time, done func(core.Result)) { c.core.Metadata(q, timeout, done) },
	})
	return r.Response.GetMetadata(), err
}

// MoveReplica moves a replica of a partition from one node to another; from 0 only
// adds one, to 0 only removes one. It returns once the move is decided; Metadata
// shows how far it is.
func (c *Client) MoveReplica(ctx context.Context, topic string, partition int32, from, to uint64) error {
	_, err := c.do(ctx, request{
		op: fmt.Sprintf("move a replica of %s partition %d from node %d to node %d", topic, partition, from, to),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.MoveReplica(topic, api.Partition(partition), api.NodeID(from), api.NodeID(to), timeout, done)
		},
	})
	return err
}

// ElectLeader hands the leadership of a partition, or with an empty topic of the
// meta group, to a node that has a replica. It leads from then on whenever it is fit,
// until another is elected; node 0 elects nobody, and leaders are evened out again.
func (c *Client) ElectLeader(ctx context.Context, topic string, partition int32, node uint64) error {
	op := fmt.Sprintf("elect node %d leader of %s partition %d", node, topic, partition)
	if node == 0 {
		op = fmt.Sprintf("elect nobody leader of %s partition %d", topic, partition)
	}
	_, err := c.do(ctx, request{
		op: op,
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.ElectLeader(topic, api.Partition(partition), api.NodeID(node), timeout, done)
		},
	})
	return err
}

// RemoveNode removes a node that holds no replicas from the cluster.
func (c *Client) RemoveNode(ctx context.Context, node uint64) error {
	_, err := c.do(ctx, request{
		op:    fmt.Sprintf("remove node %d", node),
		start: func(timeout env.Time, done func(core.Result)) { c.core.RemoveNode(api.NodeID(node), timeout, done) },
	})
	return err
}

// DescribeNode asks the node at an address for the replicas it holds.
func (c *Client) DescribeNode(ctx context.Context, address string) (*api.DescribeNodeResponse, error) {
	r, err := c.do(ctx, request{
		op: "describe the node at " + address,
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.DescribeNode(env.Endpoint(address), timeout, done)
		},
	})
	return r.Response.GetDescribeNode(), err
}
