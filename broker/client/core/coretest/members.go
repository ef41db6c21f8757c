package coretest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// node is a member of the cluster, or was one.
type node struct {
	id   api.NodeID
	name env.Endpoint
	up   bool
	// past is what a node knew when it was removed, nil in a member. It knows no more
	// since.
	past *api.MetadataResponse
}

func (w *World) join() *node {
	id := api.NodeID(len(w.nodes) + 1)
	n := &node{id: id, name: env.Endpoint(fmt.Sprintf("node-%d:9000", id)), up: true}
	w.nodes = append(w.nodes, n)
	return n
}

// Members are the nodes of the cluster.
func (w *World) Members() []api.NodeID {
	var all []api.NodeID
	for _, n := range w.nodes {
		if n.past == nil {
			all = append(all, n.id)
		}
	}
	return all
}

// Replace has a new node take the place of a member, which is removed; runs says whether
// that one still answers.
func (w *World) Replace(id api.NodeID, runs bool) api.NodeID {
	old := w.node(id)
	w.before = w.present()
	old.past = w.before
	w.SetUp(id, runs)
	n := w.join()
	if w.meta == id {
		w.meta = n.id
	}
	for _, t := range w.topics {
		for _, p := range t.Partitions {
			if at := slices.Index(p.Replicas, id); at >= 0 {
				p.Replicas[at] = n.id
			}
			if p.Leader == id {
				p.Lead(n.id)
			}
		}
	}
	return n.id
}

// present is all there is to know of the cluster.
func (w *World) present() *api.MetadataResponse {
	m := &api.MetadataResponse{MetaLeader: uint64(w.meta)}
	for _, id := range w.Members() {
		m.Nodes = append(m.Nodes, &api.NodeInfo{Id: uint64(id), Address: string(w.node(id).name)})
	}
	for _, name := range slices.Sorted(maps.Keys(w.topics)) {
		m.Topics = append(m.Topics, w.topics[name].info())
	}
	return m
}

// metadata answers a look-up: a member by what there is, or was a while ago.
func (w *World) metadata(n *node, q *api.MetadataRequest) *api.Response {
	known := w.present()
	switch {
	case n.past != nil:
		known = n.past
	case !q.Linearizable && w.before != nil && w.chance(w.Faults.Behind):
		known = w.before
	}
	topics := known.Topics
	if len(q.Topics) > 0 {
		topics = nil
		for _, ref := range q.Topics {
			t := topicOf(known, ref)
			if t == nil {
				return fail(api.Code_UNKNOWN_TOPIC_OR_PARTITION)
			}
			topics = append(topics, t)
		}
	}
	return &api.Response{Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{
		ClusterId: "make-believe", NodeId: uint64(n.id), MetaLeader: known.MetaLeader, Nodes: known.Nodes, Topics: topics,
	}}}
}

// outdated is how a node that was removed sends a request on: to who led then.
func (w *World) outdated(n *node, ref *api.TopicRef, number int32) *api.Response {
	leader := n.past.MetaLeader
	if ref != nil {
		t := topicOf(n.past, ref)
		if t == nil || number < 0 || int(number) >= len(t.Partitions) {
			return fail(api.Code_META_UNAVAILABLE) // it would have to ask
		}
		leader = t.Partitions[number].Leader
	}
	if leader == uint64(n.id) {
		leader = 0
	}
	return w.sendOn(n, api.NodeID(leader))
}

// topicOf gives the topic that a reference means, nil if it is not known.
func topicOf(m *api.MetadataResponse, ref *api.TopicRef) *api.TopicInfo {
	at := slices.IndexFunc(m.Topics, func(t *api.TopicInfo) bool {
		return t.Name == ref.GetName() && (ref.GetId() == 0 || ref.GetId() == t.Id)
	})
	if at < 0 {
		return nil
	}
	return m.Topics[at]
}
