package meta

import (
	"errors"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/idle"
)

// ErrState: the bytes are no saved state of the meta group: damaged, or of another
// version. The state frame must come from elsewhere.
var ErrState = errors.New("malformed meta state")

const (
	stateVersion = 3
	// maxNumber bounds every number that is given out, so that none of them can
	// overflow.
	maxNumber = 1 << 62
)

// Save gives the state as bytes: equal states give equal bytes.
func (s *State) Save() []byte {
	b := codec.AppendBytes([]byte{stateVersion}, s.cluster)
	b = codec.AppendUvarint(b, s.segmentBytes)
	b = s.clock.Append(b)
	b = appendNumbers(b, uint64(s.lastNode), uint64(s.lastTopic), uint64(s.lastGroup), uint64(s.lastProducer),
		uint64(s.preferred), uint64(s.changed))
	b = codec.AppendUvarint(b, uint64(len(s.nodes)))
	for _, n := range s.nodes {
		b = n.append(b)
	}
	b = codec.AppendUvarint(b, uint64(len(s.topics)))
	for _, t := range s.topics {
		b = t.append(b)
	}
	return appendView(s.producers.append(b), &s.access)
}

func (n *Node) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(n.ID))
	b = codec.AppendBytes(b, n.Address)
	b = codec.AppendBytes(b, n.token)
	return append(b, flags(n.Voter, n.Removing))
}

func (t *Topic) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(t.ID))
	b = codec.AppendBytes(b, t.Name)
	b = appendNumbers(b, t.SegmentBytes, t.ConfigVersion)
	b = t.configs.append(b)
	b = codec.AppendUvarint(b, uint64(len(t.Partitions)))
	for _, p := range t.Partitions {
		b = p.append(b)
	}
	return b
}

func (k *configs) append(b []byte) []byte {
	n := 0
	for _, set := range k.set {
		if set {
			n++
		}
	}
	b = codec.AppendUvarint(b, uint64(n))
	for c, set := range k.set {
		if set {
			b = codec.AppendUvarint(append(b, byte(c)), uint64(k.values[c])+1)
		}
	}
	return b
}

func (p *Partition) append(b []byte) []byte {
	b = appendNumbers(b, uint64(p.Group), uint64(p.lastReplica), uint64(p.changed), uint64(len(p.Founders)))
	for _, node := range p.Founders {
		b = codec.AppendUvarint(b, uint64(node))
	}
	b = codec.AppendUvarint(b, uint64(len(p.Replicas)))
	for _, r := range p.Replicas {
		b = appendNumbers(b, uint64(r.Node), uint64(r.ID))
		b = append(b, flags(r.Adding, r.Removing, r.Elected))
	}
	return b
}

// flags gives a byte whose lowest bit is the first flag.
func flags(set ...bool) byte {
	var b byte
	for i, is := range set {
		if is {
			b |= 1 << i
		}
	}
	return b
}

// Restore takes the state that Save gave. It accepts nothing else: on ErrState the
// state is as it was.
func (s *State) Restore(data []byte) error {
	r := &loader{Reader: codec.NewReader(data), state: New()}
	r.load()
	if r.Close() != nil || r.bad {
		return ErrState
	}
	r.state.topicChanges = s.topicChanges + 1
	*s = *r.state
	return nil
}

// loader reads a saved state. What cannot be a state makes it bad, and reading goes
// on: every loop is bounded by the bytes that are there.
type loader struct {
	*codec.Reader
	state *State
	group api.GroupID // the last one read of the topic
	bad   bool
}

// need makes the loader bad unless ok.
func (r *loader) need(ok bool) { r.bad = r.bad || !ok }

// number reads a number that was given out.
func (r *loader) number() uint64 {
	n := r.Uvarint()
	r.need(n <= maxNumber)
	return n
}

// flags reads what flags made.
func (r *loader) flags(into ...*bool) {
	b := r.Byte()
	r.need(b < 1<<len(into))
	for i, flag := range into {
		*flag = b&(1<<i) != 0
	}
}

func (r *loader) load() {
	s := r.state
	r.need(r.Byte() == stateVersion)
	s.cluster, s.segmentBytes = r.String(), r.Uvarint()
	founded := s.cluster != ""
	r.need(len(s.cluster) <= maxClusterBytes)
	r.need(!founded && s.segmentBytes == 0 || founded && checkSegmentBytes(s.segmentBytes) == nil)
	clock, ok := idle.ReadClock(r.Reader)
	s.clock = clock
	r.need(ok)
	s.lastNode, s.lastTopic = api.NodeID(r.number()), api.TopicID(r.number())
	s.lastGroup, s.lastProducer = api.GroupID(r.number()), api.ProducerID(r.number())
	s.preferred, s.changed = api.NodeID(r.Uvarint()), api.Index(r.Uvarint())
	r.nodes()
	r.topics()
	s.producers, ok = readProducers(r.Reader, s.lastProducer, clock.Elapsed())
	r.need(ok)
	r.view(&s.access)
	// A cluster that was founded keeps a node that stays; one that was not has none.
	r.need(founded == (len(s.live()) > 0))
	r.need(s.preferred == 0 || s.Node(s.preferred) != nil)
}

func (r *loader) nodes() {
	const leastBytes = 4
	s, last := r.state, api.NodeID(0)
	n := r.Count(leastBytes)
	r.need(n <= MaxNodes)
	for range n {
		node := &Node{ID: api.NodeID(r.Uvarint()), Address: r.String(), token: r.String()}
		r.flags(&node.Voter, &node.Removing)
		r.need(node.ID > last && node.ID <= s.lastNode)
		r.need(checkIdentity([]byte(node.token), node.Address) == nil)
		if r.bad {
			return
		}
		r.need(s.NodeByToken([]byte(node.token)) == nil)
		last = node.ID
		s.nodes = append(s.nodes, node)
	}
}

func (r *loader) topics() {
	const leastBytes = 4
	s, last := r.state, api.TopicID(0)
	for range r.Count(leastBytes) {
		t := &Topic{ID: api.TopicID(r.Uvarint()), Name: r.String(), SegmentBytes: r.Uvarint(), ConfigVersion: r.Uvarint()}
		r.configs(&t.configs)
		r.need(t.ID > last && t.ID <= s.lastTopic && checkSegmentBytes(t.SegmentBytes) == nil)
		r.need(validName(t.Name) && s.byName[t.Name] == nil)
		r.partitions(t)
		if r.bad {
			return
		}
		last = t.ID
		s.topics = append(s.topics, t)
		s.index(t)
	}
}

// configs reads those that are set, which ascend.
func (r *loader) configs(k *configs) {
	const leastBytes = 2
	least := Config(0)
	for range r.Count(leastBytes) {
		c, value := Config(r.Byte()), int64(r.Uvarint()-1)
		r.need(c >= least && c < configCount && validConfig(c, value))
		if r.bad {
			return
		}
		k.set[c], k.values[c] = true, value
		least = c + 1
	}
}

// partitions reads a topic's, whose groups ascend.
func (r *loader) partitions(t *Topic) {
	const leastBytes = 5
	n := r.Count(leastBytes)
	r.need(n >= 1 && n <= MaxPartitionsOfTopic && len(r.state.byGroup)+n <= MaxPartitions)
	r.group = 0
	for number := range api.Partition(n) {
		p := &Partition{Topic: t, Number: number, Group: api.GroupID(r.Uvarint())}
		r.need(p.Group > r.group && p.Group <= r.state.lastGroup && r.state.byGroup[p.Group] == nil)
		p.lastReplica, p.changed = api.ReplicaID(r.number()), api.Index(r.Uvarint())
		r.founders(p)
		r.replicas(p)
		if r.bad {
			return
		}
		r.group = p.Group
		t.Partitions = append(t.Partitions, p)
	}
}

func (r *loader) founders(p *Partition) {
	n := r.Count(1)
	r.need(n >= 1 && n <= MaxReplicas && uint64(n) <= uint64(p.lastReplica))
	for range n {
		node := api.NodeID(r.Uvarint())
		r.need(node >= 1 && node <= r.state.lastNode && !slices.Contains(p.Founders, node))
		p.Founders = append(p.Founders, node)
	}
}

func (r *loader) replicas(p *Partition) {
	const leastBytes = 3
	n := r.Count(leastBytes)
	r.need(n <= maxListed)
	for range n {
		replica := Replica{Node: api.NodeID(r.Uvarint()), ID: api.ReplicaID(r.Uvarint())}
		r.flags(&replica.Adding, &replica.Removing, &replica.Elected)
		r.need(!replica.Elected || len(p.Replicas) == 0)
		r.need(r.state.Node(replica.Node) != nil && p.position(replica.Node) < 0)
		r.need(replica.ID >= 1 && replica.ID <= p.lastReplica && p.NodeOf(replica.ID) == 0)
		if r.bad {
			return
		}
		p.Replicas = append(p.Replicas, replica)
	}
	r.need(len(p.wanted()) >= 1 && len(p.wanted()) <= MaxReplicas)
}
