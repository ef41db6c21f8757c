package meta

import (
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/idle"
)

// Bounds of a cluster.
const (
	MaxNodes             = 256
	MaxPartitions        = 100_000 // of all topics together
	MaxPartitionsOfTopic = 10_000
	// MaxReplicas bounds a replication factor.
	MaxReplicas = 7
	// MaxMetaVoters bounds the voters of the meta group; other nodes are learners.
	MaxMetaVoters = 5
	// MinSegmentBytes and MaxSegmentBytes bound the size at which a topic's segments
	// are rolled; DefaultSegmentBytes is that of a cluster founded without one. A new
	// replica holds its newest segment in memory until it has all of the log, and at each
	// start all of that is applied again.
	MinSegmentBytes     = 4 << 10
	MaxSegmentBytes     = 1 << 30
	DefaultSegmentBytes = 64 << 20
)

// Tag names a proposal; see command.Tag.
type Tag = command.Tag

// State is the state of the meta group. What its queries return belongs to it:
// callers must not change any of it, nor keep it beyond the next Apply or Restore.
type State struct {
	cluster      string // "" until founded or restored
	segmentBytes uint64
	clock        idle.Clock
	// nodes and topics ascend by id; removed ones leave no gap behind.
	nodes  []*Node
	topics []*Topic
	// The last numbers given out.
	lastNode     api.NodeID
	lastTopic    api.TopicID
	lastGroup    api.GroupID
	lastProducer api.ProducerID
	// preferred is the node that should lead the meta group, 0 for any.
	preferred api.NodeID
	// changed is the index of the latest configuration of the meta group known.
	changed   api.Index
	producers producers
	// access is users and ACLs. Its lists are replaced, never changed.
	access access.View
	// byName and byGroup find what hangs under topics.
	byName  map[string]*Topic
	byGroup map[api.GroupID]*Partition
	// topicChanges counts the times that topics came, grew or went, in this life of the node.
	topicChanges uint64
}

// New is the state of a node that knows nothing yet; Restore fills it.
func New() *State {
	return &State{
		producers: newProducers(),
		byName:    make(map[string]*Topic),
		byGroup:   make(map[api.GroupID]*Partition),
	}
}

// Found is the state in which a cluster begins: one node, with the id 1 and the one
// vote. segmentBytes is the size of segments where a topic does not say; 0 leaves it
// at DefaultSegmentBytes.
func Found(cluster, address string, token []byte, segmentBytes uint64) (*State, *api.Error) {
	if segmentBytes == 0 {
		segmentBytes = DefaultSegmentBytes
	}
	if cluster == "" || len(cluster) > maxClusterBytes {
		return nil, api.Errorf(api.Code_INVALID_REQUEST, "a cluster id has 1 to %d bytes, not %d", maxClusterBytes, len(cluster))
	}
	if err := checkSegmentBytes(segmentBytes); err != nil {
		return nil, err
	}
	if err := checkIdentity(token, address); err != nil {
		return nil, err
	}
	s := New()
	s.cluster, s.segmentBytes = cluster, segmentBytes
	s.addNode(token, address).Voter = true
	return s, nil
}

// Outcome is what became of a command.
type Outcome struct {
	// Tag of the proposal; zero if the entry holds no command.
	Tag Tag
	// Response is the answer but for its id: an error, in which case nothing but the
	// clock changed, or the body that belongs to the request. It is nil for raft's
	// own empty entries.
	Response *api.Response
}

// Apply carries out one entry of the log. It accepts any bytes: raft's own empty
// entries change nothing, and what is no command is answered INVALID_REQUEST.
func (s *State) Apply(data []byte) Outcome {
	if len(data) == 0 {
		return Outcome{}
	}
	c, err := decode(data)
	if err != nil {
		return Outcome{c.head.Tag, &api.Response{Error: err}}
	}
	s.clock.Advance(c.head.Now)
	s.producers.expire(s.clock.Elapsed())
	return Outcome{c.head.Tag, s.apply(c)}
}

func (s *State) apply(c decoded) *api.Response {
	switch r := c.request.Body.(type) {
	case *api.Request_CreateTopic:
		return s.createTopic(r.CreateTopic, c.silent)
	case *api.Request_DeleteTopic:
		return s.deleteTopic(r.DeleteTopic)
	case *api.Request_AlterTopic:
		return s.alterTopic(r.AlterTopic)
	case *api.Request_AddPartitions:
		return s.addPartitions(r.AddPartitions, c.silent)
	case *api.Request_InitProducer:
		return s.initProducer(r.InitProducer)
	case *api.Request_Join:
		return s.join(r.Join)
	case *api.Request_UpdateNode:
		return s.updateNode(r.UpdateNode)
	case *api.Request_MoveReplica:
		return s.moveReplica(r.MoveReplica)
	case *api.Request_ElectLeader:
		return s.electLeader(r.ElectLeader)
	case *api.Request_RemoveNode:
		return s.removeNode(r.RemoveNode)
	case *api.Request_ReplicaChanged:
		return s.replicaChanged(r.ReplicaChanged)
	case *api.Request_PutUser:
		return s.putUser(r.PutUser)
	case *api.Request_DeleteUser:
		return s.deleteUser(r.DeleteUser)
	case *api.Request_CreateAcls:
		return s.createAcls(r.CreateAcls)
	case *api.Request_DeleteAcls:
		return s.deleteAcls(r.DeleteAcls)
	}
	panic("meta: decode let another request through")
}

func refuse(code api.Code, format string, args ...any) *api.Response {
	return &api.Response{Error: api.Errorf(code, format, args...)}
}
