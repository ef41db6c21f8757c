package core

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

// Record is a record of a partition, at its offset.
type Record struct {
	Offset api.Offset
	batch.Record
}

// FetchOptions say how much to wait for and to bring.
type FetchOptions struct {
	// MaxBytes bounds the answer; 0 is the node's own bound.
	MaxBytes int32
	// MinBytes is waited for, up to MaxWait, and not until Timeout is over: what is there
	// then comes in time. 0 is 1.
	MinBytes int32
	MaxWait  env.Time
	// Timeout of the whole operation; 0 is the client's.
	Timeout env.Time
}

// Fetch reads records from an offset on. No records without an error means that
// there was nothing at the offset at some moment of the operation.
func (c *Client) Fetch(topic string, p api.Partition, from api.Offset, options FetchOptions, done func(Result)) {
	request := &api.FetchRequest{
		Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Offset: int64(from),
		MaxBytes: options.MaxBytes, MinBytes: options.MinBytes,
	}
	o := &operation{
		request: &api.Request{Body: &api.Request_Fetch{Fetch: request}},
		effect:  harmless, target: targetPartition, ref: request.Topic, partition: p,
		patience: maxTime(options.MaxWait),
	}
	o.done = func(r Result) { done(c.opened(r, from)) }
	c.start(o, options.Timeout)
}

func milliseconds(t env.Time) int32 {
	return int32(min(max(0, t/env.Millisecond), math.MaxInt32))
}

// opened takes the records out of a fetched answer.
func (c *Client) opened(r Result, from api.Offset) Result {
	rest := r.Response.GetFetch().GetBatches()
	for len(rest) > 0 {
		first, after, err := batch.Next(rest)
		if err == nil {
			err = c.open(&r, first, from)
		}
		if err != nil {
			r.Err = api.Errorf(api.Code_CORRUPT_BATCH, "fetching from offset %d brought a batch that cannot be read; fetch again, and check the node's disk", from)
			r.Response, r.Records = nil, nil
			break
		}
		rest = after
	}
	return r
}

func (c *Client) open(r *Result, data []byte, from api.Offset) error {
	info, err := batch.Parse(data)
	if err != nil {
		return err
	}
	records, err := batch.Records(data, c.config.Codecs)
	for i, record := range records {
		if offset := info.BaseOffset + api.Offset(i); offset >= from {
			r.Records = append(r.Records, Record{offset, record})
		}
	}
	return err
}

// ListOffsets asks for the first offset of a partition, or for its end. The
// answer is in Response.
func (c *Client) ListOffsets(topic string, p api.Partition, spec api.OffsetSpec, timeout env.Time, done func(Result)) {
	request := &api.ListOffsetsRequest{Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Spec: spec}
	c.start(&operation{
		request: &api.Request{Body: &api.Request_ListOffsets{ListOffsets: request}},
		effect:  harmless, target: targetPartition, ref: request.Topic, partition: p, done: done,
	}, timeout)
}

// OffsetAtTime asks for the first record of a partition whose time stamp is not before a
// time. The answer is in Response; where there is none, its offset is the end.
func (c *Client) OffsetAtTime(topic string, p api.Partition, time api.Milliseconds, timeout env.Time, done func(Result)) {
	request := &api.ListOffsetsRequest{
		Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Spec: api.OffsetSpec_AT_TIME, Time: int64(time),
	}
	c.start(&operation{
		request: &api.Request{Body: &api.Request_ListOffsets{ListOffsets: request}},
		effect:  harmless, target: targetPartition, ref: request.Topic, partition: p, done: done,
	}, timeout)
}

// DescribeProducers asks for up to max idempotent producers that a partition knows, the
// latest used first; 0 leaves their number to the node. The answer is in Response.
func (c *Client) DescribeProducers(topic string, p api.Partition, max int32, timeout env.Time, done func(Result)) {
	request := &api.DescribeProducersRequest{Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Max: max}
	c.start(&operation{
		request: &api.Request{Body: &api.Request_DescribeProducers{DescribeProducers: request}},
		effect:  harmless, target: targetPartition, ref: request.Topic, partition: p, done: done,
	}, timeout)
}

// DeleteRecords deletes what lies below an offset; -1 is all that is there when
// the node takes the request, which is not tried again after a doubt.
func (c *Client) DeleteRecords(topic string, p api.Partition, before api.Offset, timeout env.Time, done func(Result)) {
	request := &api.DeleteRecordsRequest{Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Before: int64(before)}
	o := &operation{
		request: &api.Request{Body: &api.Request_DeleteRecords{DeleteRecords: request}},
		effect:  repeatable, target: targetPartition, ref: request.Topic, partition: p, done: done,
	}
	if before < 0 {
		o.effect = once
	}
	c.start(o, timeout)
}

// CreateTopic creates a topic. It is not tried again after a doubt, so that "it
// exists already" is never said of the operation's own topic.
func (c *Client) CreateTopic(request *api.CreateTopicRequest, timeout env.Time, done func(Result)) {
	c.start(&operation{
		request: &api.Request{Body: &api.Request_CreateTopic{CreateTopic: request}},
		target:  targetMeta, done: done,
	}, timeout)
}

// DeleteTopic deletes the topic that has the name when it is first asked.
func (c *Client) DeleteTopic(topic string, timeout env.Time, done func(Result)) {
	request := &api.DeleteTopicRequest{Topic: &api.TopicRef{Name: topic}}
	o := &operation{
		request: &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: request}},
		effect:  repeatable, target: targetMeta, ref: request.Topic,
	}
	o.done = func(r Result) {
		if r.Err == nil {
			c.cluster.topics[topic].forget(r.Topic)
		}
		done(r)
	}
	c.start(o, timeout)
}

// AlterTopic sets and unsets configs of the topic that has the name when it is first
// asked.
func (c *Client) AlterTopic(topic string, request *api.AlterTopicRequest, timeout env.Time, done func(Result)) {
	request.Topic = &api.TopicRef{Name: topic}
	o := &operation{
		request: &api.Request{Body: &api.Request_AlterTopic{AlterTopic: request}},
		effect:  repeatable, target: targetMeta, ref: request.Topic,
	}
	o.done = func(r Result) {
		if t := c.cluster.topics[topic]; r.Err == nil && t != nil {
			c.refresh(t, true)
		}
		done(r)
	}
	c.start(o, timeout)
}

// AddPartitions gives a topic more partitions: as many as it is to have. It is not
// tried again after a doubt, so that "it has them already" is never said of the
// operation's own.
func (c *Client) AddPartitions(topic string, partitions int32, timeout env.Time, done func(Result)) {
	request := &api.AddPartitionsRequest{Topic: &api.TopicRef{Name: topic}, Partitions: partitions}
	o := &operation{
		request: &api.Request{Body: &api.Request_AddPartitions{AddPartitions: request}},
		target:  targetMeta, ref: request.Topic,
	}
	o.done = func(r Result) {
		if r.Err == nil {
			c.cluster.topics[topic].forget(r.Topic)
		}
		done(r)
	}
	c.start(o, timeout)
}

// Metadata asks what there is: nodes, topics, leaders.
func (c *Client) Metadata(request *api.MetadataRequest, timeout env.Time, done func(Result)) {
	c.start(c.inquiry(request, done), timeout)
}

// inquiry asks any node what there is, and learns from the answer.
func (c *Client) inquiry(request *api.MetadataRequest, done func(Result)) *operation {
	o := &operation{
		request: &api.Request{Body: &api.Request_Metadata{Metadata: request}},
		effect:  harmless,
	}
	o.done = func(r Result) {
		if r.Err == nil {
			c.cluster.learn(r.Response.GetMetadata(), false)
		}
		done(r)
	}
	return o
}

// InitProducer asks for a new producer id (0, 0), or for the next epoch of one,
// which fences the former. Produce takes care of its own ids.
func (c *Client) InitProducer(id api.ProducerID, epoch api.Epoch, timeout env.Time, done func(Result)) {
	c.start(initProducer(id, epoch, done), timeout)
}

func initProducer(id api.ProducerID, epoch api.Epoch, done func(Result)) *operation {
	request := &api.InitProducerRequest{ProducerId: int64(id), Epoch: int32(epoch)}
	o := &operation{
		request: &api.Request{Body: &api.Request_InitProducer{InitProducer: request}},
		target:  targetMeta, done: done,
	}
	if id == 0 {
		o.effect = repeatable
	}
	return o
}

// MoveReplica moves a replica of a partition between nodes; from 0 only adds,
// to 0 only removes.
func (c *Client) MoveReplica(topic string, p api.Partition, from, to api.NodeID, timeout env.Time, done func(Result)) {
	request := &api.MoveReplicaRequest{Topic: &api.TopicRef{Name: topic}, Partition: int32(p), From: uint64(from), To: uint64(to)}
	c.start(&operation{
		request: &api.Request{Body: &api.Request_MoveReplica{MoveReplica: request}},
		target:  targetMeta, ref: request.Topic, partition: p, done: done,
	}, timeout)
}

// ElectLeader hands the leadership of a partition, or with an empty topic of the
// meta group, to a node; node 0 elects nobody.
func (c *Client) ElectLeader(topic string, p api.Partition, node api.NodeID, timeout env.Time, done func(Result)) {
	request := &api.ElectLeaderRequest{Topic: &api.TopicRef{Name: topic}, Partition: int32(p), Node: uint64(node)}
	o := &operation{
		request: &api.Request{Body: &api.Request_ElectLeader{ElectLeader: request}},
		target:  targetMeta, done: done,
	}
	if topic != "" {
		o.ref, o.partition = request.Topic, p
	}
	c.start(o, timeout)
}

// RemoveNode removes a node that holds no replicas from the cluster.
func (c *Client) RemoveNode(node api.NodeID, timeout env.Time, done func(Result)) {
	c.start(&operation{
		request: &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: uint64(node)}}},
		target:  targetMeta, done: done,
	}, timeout)
}

// DescribeNode asks a node for the replicas it holds.
func (c *Client) DescribeNode(node env.Endpoint, timeout env.Time, done func(Result)) {
	c.start(&operation{
		request: &api.Request{Body: &api.Request_DescribeNode{DescribeNode: &api.DescribeNodeRequest{}}},
		effect:  harmless, target: targetNode, node: node, done: done,
	}, timeout)
}

// After calls then in a Flush once the pause is over. It is for what drives a
// client and has no alarm of its own, as the clock has one for each process.
func (c *Client) After(pause env.Time, then func()) {
	t := &timer{fire: func() {
		c.finished = append(c.finished, completion{func(Result) { then() }, Result{}})
	}}
	c.timers.set(t, c.clock.Now()+max(0, pause))
}
