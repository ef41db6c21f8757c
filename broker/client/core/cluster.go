package core

import (
	"maps"
	"slices"
	"strconv"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// cluster is what the client knows of the nodes and of who leads what. All of it
// may be out of date; a wrong guess costs a redirect.
type cluster struct {
	bootstrap []env.Endpoint
	nodes     map[api.NodeID]env.Endpoint
	// order is where any node will do, from turn on: the nodes by id, then those
	// of bootstrap that are none of them. turn moves on when a node fails.
	order  []env.Endpoint
	turn   int
	random *prng.Stream
	// metaLeader is 0 when unknown.
	metaLeader api.NodeID
	topics     map[string]*topic
	// staleAt is when all this is old enough to be asked for again.
	staleAt env.Time
}

// topic is what is known of a topic. One whose id is 0 has yet to be looked up.
type topic struct {
	name       string
	id         api.TopicID
	partitions []partition
	// batchBytes is what a batch may have; 0 where it is not known.
	batchBytes int
	// refreshing: a look-up is under way; it asks the meta leader itself if
	// linearizable.
	refreshing, linearizable bool
	// lookUp is the one under way, or else the last; nil before there was one.
	lookUp *operation
	// denied is why the last look-up at the meta leader was refused for good, nil if it
	// was not.
	denied *api.Error
	// waiters go on when the refresh under way ends; later ones came while it was
	// under way, so that its "no such topic" might be older than they are.
	waiters, later []func(confirmed bool)
}

// partition is where a partition's replicas are.
type partition struct {
	// leader is 0 when unknown; term is the one in which metadata named a leader.
	leader   api.NodeID
	term     api.Term
	replicas []api.NodeID
	// turn picks the replica to ask while the leader is unknown.
	turn int
}

func newCluster(bootstrap []env.Endpoint, random *prng.Stream) *cluster {
	k := &cluster{
		bootstrap: bootstrap,
		nodes:     map[api.NodeID]env.Endpoint{},
		topics:    map[string]*topic{},
		turn:      int(random.Below(int64(len(bootstrap)))),
		random:    random,
	}
	k.sort()
	return k
}

// any is a node to ask what every node knows.
func (k *cluster) any() env.Endpoint { return k.order[k.turn%len(k.order)] }

// someone is a node drawn from all.
func (k *cluster) someone() env.Endpoint { return k.order[k.random.Below(int64(len(k.order)))] }

// meta is the leader of the meta group, or a node that may know it.
func (k *cluster) meta() env.Endpoint {
	if to, ok := k.nodes[k.metaLeader]; ok {
		return to
	}
	return k.any()
}

// leader is the leader of a partition, or a node that may know it: each replica
// in turn, then any node. p is nil where nothing is known of the partition.
func (k *cluster) leader(p *partition) env.Endpoint {
	if p == nil {
		return k.any()
	}
	if to, ok := k.nodes[p.leader]; ok {
		return to
	}
	for range p.replicas {
		p.turn++
		if to, ok := k.nodes[p.replicas[p.turn%len(p.replicas)]]; ok {
			return to
		}
	}
	return k.any()
}

// learn takes what a metadata answer says. One that is not linearizable may be
// older than what is known.
func (k *cluster) learn(m *api.MetadataResponse, linearizable bool) {
	if linearizable {
		clear(k.nodes)
	}
	for _, n := range m.Nodes {
		k.nodes[api.NodeID(n.Id)] = env.Endpoint(n.Address)
	}
	if m.MetaLeader != 0 {
		k.metaLeader = api.NodeID(m.MetaLeader)
	}
	k.sort()
	for _, info := range m.Topics {
		if t := k.topics[info.Name]; t != nil && (linearizable || api.TopicID(info.Id) >= t.id) {
			t.learn(info)
		}
	}
}

func (t *topic) learn(info *api.TopicInfo) {
	known := t.partitions
	t.batchBytes = maxMessageBytes(info)
	if t.id != api.TopicID(info.Id) {
		t.id = api.TopicID(info.Id)
		known = nil
	}
	t.partitions = make([]partition, len(info.Partitions))
	for i, from := range info.Partitions {
		p := &t.partitions[i]
		if i < len(known) {
			*p = known[i]
		}
		if api.Term(from.LeaderTerm) >= p.term {
			p.leader, p.term = api.NodeID(from.Leader), api.Term(from.LeaderTerm)
		}
		p.replicas = nil
		for _, r := range from.Replicas {
			p.replicas = append(p.replicas, api.NodeID(r.Node))
		}
	}
}

// maxMessageBytes is the topic's bound of a batch, 0 if it does not say.
func maxMessageBytes(info *api.TopicInfo) int {
	for _, c := range info.Configs {
		if c.Name == "max.message.bytes" {
			n, err := strconv.Atoi(c.Value)
			if err == nil && n > batch.Overhead {
				return n - batch.Overhead
			}
		}
	}
	return 0
}

// forget drops what is known of a topic, if it is still that incarnation.
func (t *topic) forget(id api.TopicID) {
	if t != nil && t.id == id {
		t.id, t.partitions = 0, nil
	}
}

// partition gives a partition of a topic, nil where it is not known.
func (t *topic) partition(p api.Partition) *partition {
	if t == nil || t.id == 0 || p < 0 || int(p) >= len(t.partitions) {
		return nil
	}
	return &t.partitions[p]
}

// locate notes where a node is.
func (k *cluster) locate(node api.NodeID, address string) {
	if address != "" && k.nodes[node] != env.Endpoint(address) {
		k.nodes[node] = env.Endpoint(address)
		k.sort()
	}
}

// sort makes order anew. The node whose turn it is keeps it where it is still
// there.
func (k *cluster) sort() {
	delete(k.nodes, 0) // that is nobody, whatever an answer says
	var current env.Endpoint
	if len(k.order) > 0 {
		current = k.any()
	}
	order := make([]env.Endpoint, 0, len(k.nodes)+len(k.bootstrap))
	add := func(at env.Endpoint) {
		if !slices.Contains(order, at) {
			order = append(order, at)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.nodes)) {
		add(k.nodes[id]) // two ids may share an address: a node that took a lost one's place
	}
	for _, b := range k.bootstrap {
		add(b)
	}
	k.order = order
	if at := slices.Index(order, current); at >= 0 {
		k.turn = at
	}
}

// avoid notes that a node failed to answer, and asks another next. If it was not its turn,
// whose turn it is may have named it: a node that was removed and runs again knows only such
// as are gone by now, and says so readily. Which is next is drawn then, for turns could keep
// time with the failures.
func (k *cluster) avoid(node env.Endpoint) {
	step := 1
	if k.any() != node {
		step = int(k.random.Below(int64(len(k.order))))
	}
	k.turn = (k.turn + step) % len(k.order)
}
