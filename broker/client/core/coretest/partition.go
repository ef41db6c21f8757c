package coretest

import (
	"maps"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
)

// Topic is one incarnation of a topic.
type Topic struct {
	Name       string
	ID         api.TopicID
	Partitions []*Partition
}

// Partition is a log and what is known of its producers.
type Partition struct {
	Leader   api.NodeID
	Replicas []api.NodeID
	Start    api.Offset
	// Log holds every record ever appended, trimmed or not.
	Log     []batch.Record
	term    uint64
	batches []span
	// producers[id] is the epoch and the last batches of a producer.
	producers map[api.ProducerID]*producer
}

// span is a batch in the log.
type span struct {
	first api.Offset
	data  []byte
}

type producer struct {
	epoch api.Epoch
	next  api.Sequence
	last  []known
}

type known struct {
	sequence api.Sequence
	count    int32
	base     api.Offset
}

// replicas are how many a partition has at most.
const replicas = 3

// CreateTopic makes a topic whose partitions are led by the members in turn.
func (w *World) CreateTopic(name string, partitions int) *Topic {
	w.lastTopic++
	t := &Topic{Name: name, ID: w.lastTopic}
	members := w.Members()
	for i := range partitions {
		p := &Partition{term: 1, producers: map[api.ProducerID]*producer{}}
		for n := range min(replicas, len(members)) {
			p.Replicas = append(p.Replicas, members[(i+n)%len(members)])
		}
		p.Leader = p.Replicas[0]
		t.Partitions = append(t.Partitions, p)
	}
	w.topics[name] = t
	return t
}

// Topic gives the topic that has a name, nil if none has.
func (w *World) Topic(name string) *Topic { return w.topics[name] }

// DeleteTopic deletes a topic.
func (w *World) DeleteTopic(name string) {
	w.Deleted = append(w.Deleted, w.topics[name])
	delete(w.topics, name)
}

// Lead makes a node the leader, or nobody with 0.
func (p *Partition) Lead(id api.NodeID) {
	p.Leader = id
	p.term++
}

func (t *Topic) info() *api.TopicInfo {
	info := &api.TopicInfo{Name: t.Name, Id: uint64(t.ID)}
	for i, p := range t.Partitions {
		out := &api.PartitionInfo{Partition: int32(i), Leader: uint64(p.Leader), LeaderTerm: p.term}
		for _, id := range p.Replicas {
			out.Replicas = append(out.Replicas, &api.ReplicaInfo{Node: uint64(id), Replica: uint64(id)})
		}
		info.Partitions = append(info.Partitions, out)
	}
	return info
}

// produce appends a batch, if its producer's rules allow.
func (p *Partition) produce(data []byte) *api.Response {
	if p == nil {
		return fail(api.Code_UNKNOWN_TOPIC_OR_PARTITION)
	}
	info, err := batch.Validate(data, batch.NewCodecs(batch.NewGzip()), batch.MaxBytes)
	if err != nil {
		return fail(api.Code_CORRUPT_BATCH)
	}
	base := api.Offset(len(p.Log))
	if info.Producer != 0 {
		if at, code := p.admit(info, base); code != api.Code_OK {
			return fail(code)
		} else if at != base {
			return p.produced(at)
		}
	}
	records, err := batch.Records(data, batch.NewCodecs(batch.NewGzip()))
	if err != nil {
		panic("coretest: " + err.Error())
	}
	batch.SetBaseOffset(data, base)
	p.Log = append(p.Log, records...)
	p.batches = append(p.batches, span{base, data})
	return p.produced(base)
}

func (p *Partition) produced(base api.Offset) *api.Response {
	return &api.Response{Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: int64(base), LogStart: int64(p.Start)}}}
}

// admit gives the offset at which a batch stands or will stand, or why it may not.
func (p *Partition) admit(info batch.Info, end api.Offset) (api.Offset, api.Code) {
	state := p.producers[info.Producer]
	switch {
	case state == nil && info.Sequence != 0:
		return 0, api.Code_UNKNOWN_PRODUCER
	case state == nil || info.Epoch > state.epoch && info.Sequence == 0:
		state = &producer{epoch: info.Epoch}
		p.producers[info.Producer] = state
	case info.Epoch < state.epoch:
		return 0, api.Code_PRODUCER_FENCED
	case info.Epoch > state.epoch:
		return 0, api.Code_OUT_OF_ORDER_SEQUENCE
	}
	for _, k := range state.last {
		if k.sequence == info.Sequence && k.count == info.Count {
			return k.base, api.Code_OK
		}
	}
	if info.Sequence != state.next {
		if (info.Sequence-state.next)&math.MaxInt32 < math.MaxInt32/2 {
			return 0, api.Code_OUT_OF_ORDER_SEQUENCE
		}
		return 0, api.Code_DUPLICATE_SEQUENCE
	}
	state.next = (info.Sequence + api.Sequence(info.Count)) & math.MaxInt32
	state.last = append(state.last, known{info.Sequence, info.Count, end})
	state.last = state.last[max(0, len(state.last)-5):]
	return end, api.Code_OK
}

func (p *Partition) fetch(q *api.FetchRequest) *api.Response {
	if q.Offset < int64(p.Start) || q.Offset > int64(len(p.Log)) {
		return fail(api.Code_OFFSET_OUT_OF_RANGE)
	}
	out := &api.FetchResponse{HighWatermark: int64(len(p.Log)), LogStart: int64(p.Start)}
	for i, b := range p.batches {
		ends := int64(len(p.Log))
		if i+1 < len(p.batches) {
			ends = int64(p.batches[i+1].first)
		}
		if ends <= q.Offset {
			continue
		}
		if len(out.Batches) > 0 && q.MaxBytes > 0 && len(out.Batches)+len(b.data) > int(q.MaxBytes) {
			break
		}
		out.Batches = append(out.Batches, b.data...)
	}
	return &api.Response{Body: &api.Response_Fetch{Fetch: out}}
}

func (p *Partition) listOffsets(q *api.ListOffsetsRequest) *api.Response {
	offset := int64(len(p.Log))
	if q.Spec == api.OffsetSpec_EARLIEST {
		offset = int64(p.Start)
	}
	return &api.Response{Body: &api.Response_ListOffsets{ListOffsets: &api.ListOffsetsResponse{Offset: offset}}}
}

func (p *Partition) describeProducers() *api.Response {
	out := &api.DescribeProducersResponse{Known: int32(len(p.producers))}
	for _, id := range slices.Sorted(maps.Keys(p.producers)) {
		out.Producers = append(out.Producers, &api.ProducerState{ProducerId: int64(id), Epoch: int32(p.producers[id].epoch)})
	}
	return &api.Response{Body: &api.Response_DescribeProducers{DescribeProducers: out}}
}

func (p *Partition) deleteRecords(q *api.DeleteRecordsRequest) *api.Response {
	before := api.Offset(q.Before)
	if before < 0 {
		before = api.Offset(len(p.Log))
	}
	if before > api.Offset(len(p.Log)) {
		return fail(api.Code_OFFSET_OUT_OF_RANGE)
	}
	p.Start = max(p.Start, before)
	return &api.Response{Body: &api.Response_DeleteRecords{DeleteRecords: &api.DeleteRecordsResponse{LogStart: int64(p.Start)}}}
}
