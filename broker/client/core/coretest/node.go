package coretest

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// arrive has a node act on a request, unless a fault takes it.
func (w *World) arrive(h *Host, to env.Endpoint, frame []byte) {
	n := w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.name == to })]
	m, err := api.DecodeFrame(frame)
	if err != nil {
		panic("coretest: " + err.Error())
	}
	request := m.GetRequest()
	switch {
	case !n.up:
		h.cut(n)
		return
	case w.chance(w.Faults.LoseRequest):
		return
	case w.chance(w.Faults.Break):
		if w.chance(500) {
			w.act(n, request)
		}
		h.cut(n)
		return
	}
	response := w.answer(n, request)
	if response == nil || silent(request) || w.chance(w.Faults.LoseAnswer) {
		return
	}
	response.Id = request.Id
	if w.chance(w.Faults.LateAnswer) {
		w.At(w.now+env.Time(w.random.Below(int64(longest))), func() { h.answer(n, response) })
		return
	}
	h.answer(n, response)
	if w.chance(w.Faults.Twice) {
		h.answer(n, response)
	}
}

func (w *World) answer(n *node, request *api.Request) *api.Response {
	if w.Script != nil {
		if response, ok := w.Script(n.id, request); ok {
			return response
		}
	}
	return w.fated(n, request)
}

// fated answers a request, unless a fault decides otherwise.
func (w *World) fated(n *node, request *api.Request) *api.Response {
	if w.chance(w.Faults.Refuse) {
		codes := []api.Code{api.Code_OVERLOADED, api.Code_NOT_READY, api.Code_STORAGE_FULL, api.Code_META_UNAVAILABLE}
		return fail(codes[w.random.Below(int64(len(codes)))])
	}
	if !Changes(request) || !w.chance(w.Faults.Doubt) {
		return w.act(n, request)
	}
	if redirect := w.redirect(n, request); redirect != nil {
		return redirect
	}
	switch w.random.Below(3) {
	case 0:
		w.act(n, request)
	case 1:
		w.At(w.now+env.Time(w.random.Below(int64(longest))), func() { w.act(n, request) })
	}
	return fail(api.Code_LEADERSHIP_LOST)
}

// silent reports whether a request wants no answer.
func silent(request *api.Request) bool {
	return request.GetProduce() != nil && request.GetProduce().Acks == api.Acks_NONE
}

// Changes reports whether a request changes anything.
func Changes(request *api.Request) bool {
	switch request.Body.(type) {
	case *api.Request_Metadata, *api.Request_Fetch, *api.Request_ListOffsets, *api.Request_DescribeNode, *api.Request_DescribeProducers,
		*api.Request_FetchOffsets, *api.Request_DescribeGroup, *api.Request_ListGroups:
		return false
	}
	return true
}

func fail(code api.Code) *api.Response { return &api.Response{Error: api.Errorf(code, "as told")} }

// act does what a request asks, at the leader.
func (w *World) act(n *node, request *api.Request) *api.Response {
	if redirect := w.redirect(n, request); redirect != nil {
		return redirect
	}
	switch body := request.Body.(type) {
	case *api.Request_Metadata:
		return w.metadata(n, body.Metadata)
	case *api.Request_CreateTopic:
		return w.createTopic(body.CreateTopic)
	case *api.Request_DeleteTopic:
		return w.deleteTopic(body.DeleteTopic)
	case *api.Request_InitProducer:
		return w.initProducer(body.InitProducer)
	case *api.Request_Produce:
		return w.find(body.Produce.Topic, body.Produce.Partition).produce(body.Produce.Batch)
	case *api.Request_Fetch:
		return w.find(body.Fetch.Topic, body.Fetch.Partition).fetch(body.Fetch)
	case *api.Request_ListOffsets:
		return w.find(body.ListOffsets.Topic, body.ListOffsets.Partition).listOffsets(body.ListOffsets)
	case *api.Request_DescribeProducers:
		return w.find(body.DescribeProducers.Topic, body.DescribeProducers.Partition).describeProducers()
	case *api.Request_DeleteRecords:
		return w.find(body.DeleteRecords.Topic, body.DeleteRecords.Partition).deleteRecords(body.DeleteRecords)
	case *api.Request_DescribeNode:
		return &api.Response{Body: &api.Response_DescribeNode{DescribeNode: &api.DescribeNodeResponse{NodeId: uint64(n.id)}}}
	}
	if _, _, ok := w.shardOf(request); ok {
		return w.actGroup(request)
	}
	return fail(api.Code_INVALID_REQUEST)
}

// redirect answers a request that is for another node, or for no partition.
func (w *World) redirect(n *node, request *api.Request) *api.Response {
	var ref *api.TopicRef
	var number int32
	switch body := request.Body.(type) {
	case *api.Request_DescribeNode:
		return nil
	case *api.Request_Metadata:
		if n.past == nil || !body.Metadata.Linearizable {
			return nil
		}
	case *api.Request_Produce:
		ref, number = body.Produce.Topic, body.Produce.Partition
	case *api.Request_Fetch:
		ref, number = body.Fetch.Topic, body.Fetch.Partition
	case *api.Request_ListOffsets:
		ref, number = body.ListOffsets.Topic, body.ListOffsets.Partition
	case *api.Request_DescribeProducers:
		ref, number = body.DescribeProducers.Topic, body.DescribeProducers.Partition
	case *api.Request_DeleteRecords:
		ref, number = body.DeleteRecords.Topic, body.DeleteRecords.Partition
	default:
		ref, number, _ = w.shardOf(request)
	}
	switch {
	case n.past != nil:
		return w.outdated(n, ref, number)
	case ref == nil:
		return w.sendOn(n, w.meta)
	}
	p := w.find(ref, number)
	if p == nil {
		return fail(api.Code_UNKNOWN_TOPIC_OR_PARTITION)
	}
	return w.sendOn(n, p.Leader)
}

func (w *World) sendOn(n *node, leader api.NodeID) *api.Response {
	if n.id == leader {
		return nil
	}
	r := fail(api.Code_NOT_LEADER)
	if leader != 0 && !w.chance(w.Faults.NoHint) {
		r.Error.LeaderId, r.Error.LeaderAddress = uint64(leader), string(w.node(leader).name)
	}
	return r
}

// find gives the partition that a request means, nil if there is none.
func (w *World) find(ref *api.TopicRef, number int32) *Partition {
	t := w.topics[ref.GetName()]
	if t == nil || ref.GetId() != 0 && ref.GetId() != uint64(t.ID) || number < 0 || int(number) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[number]
}

func (w *World) createTopic(q *api.CreateTopicRequest) *api.Response {
	if w.topics[q.Name] != nil {
		return fail(api.Code_TOPIC_ALREADY_EXISTS)
	}
	t := w.CreateTopic(q.Name, int(q.Partitions))
	return &api.Response{Body: &api.Response_CreateTopic{CreateTopic: &api.CreateTopicResponse{Id: uint64(t.ID)}}}
}

func (w *World) deleteTopic(q *api.DeleteTopicRequest) *api.Response {
	t := w.topics[q.Topic.Name]
	if t == nil || q.Topic.Id != 0 && q.Topic.Id != uint64(t.ID) {
		return fail(api.Code_UNKNOWN_TOPIC_OR_PARTITION)
	}
	w.DeleteTopic(t.Name)
	return &api.Response{Body: &api.Response_DeleteTopic{DeleteTopic: &api.DeleteTopicResponse{}}}
}

func (w *World) initProducer(q *api.InitProducerRequest) *api.Response {
	id, epoch := api.ProducerID(q.ProducerId), api.Epoch(0)
	if id == 0 {
		w.lastProducer++
		id = w.lastProducer
	} else {
		if w.epochs[id] != api.Epoch(q.Epoch) {
			return fail(api.Code_PRODUCER_FENCED)
		}
		epoch = w.epochs[id] + 1
	}
	w.epochs[id] = epoch
	return &api.Response{Body: &api.Response_InitProducer{InitProducer: &api.InitProducerResponse{ProducerId: int64(id), Epoch: int32(epoch)}}}
}
