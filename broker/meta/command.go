package meta

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
)

// Kinds of commands; the numbers stand in logs and never change.
const (
	kindCreateTopic = iota + 1
	kindDeleteTopic
	kindInitProducer
	kindJoin
	kindUpdateNode
	kindMoveReplica
	kindElectLeader
	kindRemoveNode
	kindReplicaChanged
)

// Kinds that came later.
const (
	kindAlterTopic    = 60
	kindAddPartitions = 61
	kindSpreadLeader  = 62
	kindPutUser       = 70
	kindDeleteUser    = 71
	kindCreateAcls    = 72
	kindDeleteAcls    = 73
)

// Encode makes the command that carries a request out: CreateTopic, DeleteTopic,
// AlterTopic, AddPartitions, InitProducer, Join, UpdateNode, MoveReplica, ElectLeader, RemoveNode,
// ReplicaChanged, PutUser, DeleteUser, CreateAcls or DeleteAcls. now is the leader's wall clock; it is stamped into the entry and
// is the only time that Apply knows. A request that is wrong whatever the state is,
// or another kind of request, is refused with the error to answer. silent are the nodes that
// the leader has not heard of for a while, which get new partitions last.
func Encode(tag Tag, now api.Milliseconds, request *api.Request, silent ...api.NodeID) ([]byte, *api.Error) {
	if err := check(request); err != nil {
		return nil, err
	}
	kind, fields := appendFields(nil, request)
	if places(kind) {
		fields = codec.AppendUvarint(fields, uint64(len(silent)))
		for _, node := range silent {
			fields = codec.AppendUvarint(fields, uint64(node))
		}
	}
	head := command.Append(nil, command.Head{Kind: kind, Tag: tag, Now: now})
	return append(head, fields...), nil
}

// places reports whether commands of a kind place new partitions.
func places(kind byte) bool { return kind == kindCreateTopic || kind == kindAddPartitions }

// appendFields appends the fields of a request that check let through.
func appendFields(b []byte, request *api.Request) (byte, []byte) {
	switch body := request.Body.(type) {
	case *api.Request_CreateTopic:
		r := body.CreateTopic
		b = codec.AppendBytes(b, r.GetName())
		b = appendNumbers(b, uint64(r.GetPartitions()), uint64(r.GetReplicationFactor()), r.GetSegmentBytes())
		return kindCreateTopic, appendConfigs(b, r.GetConfigs())
	case *api.Request_DeleteTopic:
		return kindDeleteTopic, appendTopicRef(b, body.DeleteTopic.GetTopic())
	case *api.Request_AlterTopic:
		r := body.AlterTopic
		b = appendConfigs(appendTopicRef(b, r.GetTopic()), r.GetSet())
		b = codec.AppendUvarint(b, uint64(len(r.GetUnset())))
		for _, name := range r.GetUnset() {
			b = codec.AppendBytes(b, name)
		}
		return kindAlterTopic, b
	case *api.Request_AddPartitions:
		r := body.AddPartitions
		return kindAddPartitions, appendNumbers(appendTopicRef(b, r.GetTopic()), uint64(r.GetPartitions()))
	case *api.Request_InitProducer:
		r := body.InitProducer
		return kindInitProducer, appendNumbers(b, uint64(r.GetProducerId()), uint64(r.GetEpoch()))
	case *api.Request_Join:
		return kindJoin, appendIdentity(b, body.Join.GetToken(), body.Join.GetAddress())
	case *api.Request_UpdateNode:
		r := body.UpdateNode
		b = codec.AppendUvarint(b, r.GetNodeId())
		return kindUpdateNode, appendIdentity(b, r.GetToken(), r.GetAddress())
	case *api.Request_MoveReplica:
		r := body.MoveReplica
		b = appendTopicRef(b, r.GetTopic())
		return kindMoveReplica, appendNumbers(b, uint64(r.GetPartition()), r.GetFrom(), r.GetTo())
	case *api.Request_ElectLeader:
		r := body.ElectLeader
		b = appendNumbers(appendTopicRef(b, r.GetTopic()), uint64(r.GetPartition()), r.GetNode())
		if r.GetSpread() {
			return kindSpreadLeader, b
		}
		return kindElectLeader, b
	case *api.Request_RemoveNode:
		return kindRemoveNode, codec.AppendUvarint(b, body.RemoveNode.GetNode())
	case *api.Request_ReplicaChanged:
		r := body.ReplicaChanged
		b = appendNumbers(b, r.GetGroup(), r.GetIndex())
		b = appendList(b, r.GetVoters())
		return kindReplicaChanged, appendList(b, r.GetLearners())
	}
	return appendAccess(b, request)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = codec.AppendUvarint(b, n)
	}
	return b
}

func appendList(b []byte, numbers []uint64) []byte {
	return appendNumbers(codec.AppendUvarint(b, uint64(len(numbers))), numbers...)
}

func appendConfigs(b []byte, list []*api.TopicConfig) []byte {
	b = codec.AppendUvarint(b, uint64(len(list)))
	for _, c := range list {
		b = codec.AppendBytes(codec.AppendBytes(b, c.GetName()), c.GetValue())
	}
	return b
}

func appendTopicRef(b []byte, ref *api.TopicRef) []byte {
	return codec.AppendUvarint(codec.AppendBytes(b, ref.GetName()), ref.GetId())
}

func appendIdentity(b []byte, token []byte, address string) []byte {
	return codec.AppendBytes(codec.AppendBytes(b, token), address)
}

// decoded is a command.
type decoded struct {
	head    command.Head
	request *api.Request
	silent  []api.NodeID
}

// decode reads a command back into its request, and checks it. The head is there
// even if the rest is malformed, so that the proposer hears of it.
func decode(data []byte) (decoded, *api.Error) {
	r := fields{codec.NewReader(data)}
	head, ok := command.Read(r.Reader)
	c := decoded{head: head, request: r.request(head.Kind)}
	if places(head.Kind) {
		for _, node := range r.list() {
			c.silent = append(c.silent, api.NodeID(node))
		}
	}
	if !ok || c.request == nil || r.Close() != nil {
		return c, api.Errorf(api.Code_INVALID_REQUEST, "the entry is no command of this version")
	}
	return c, check(c.request)
}

// fields reads the fields of commands. Sequence of calls is sequence of fields:
// Go evaluates the values of a composite literal in the order they are written.
type fields struct{ *codec.Reader }

// request reads the request of a kind, or gives nil if there is no such kind.
func (r fields) request(kind byte) *api.Request {
	switch kind {
	case kindCreateTopic:
		return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{
			Name: r.String(), Partitions: r.int32(), ReplicationFactor: r.int32(), SegmentBytes: r.Uvarint(), Configs: r.configs()}}}
	case kindDeleteTopic:
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{
			Topic: r.topicRef()}}}
	case kindAlterTopic:
		return &api.Request{Body: &api.Request_AlterTopic{AlterTopic: &api.AlterTopicRequest{
			Topic: r.topicRef(), Set: r.configs(), Unset: r.names()}}}
	case kindAddPartitions:
		return &api.Request{Body: &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{
			Topic: r.topicRef(), Partitions: r.int32()}}}
	case kindInitProducer:
		return &api.Request{Body: &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{
			ProducerId: int64(r.Uvarint()), Epoch: r.int32()}}}
	case kindJoin:
		return &api.Request{Body: &api.Request_Join{Join: &api.JoinRequest{
			Token: r.Bytes(), Address: r.String()}}}
	case kindUpdateNode:
		return &api.Request{Body: &api.Request_UpdateNode{UpdateNode: &api.UpdateNodeRequest{
			NodeId: r.Uvarint(), Token: r.Bytes(), Address: r.String()}}}
	case kindMoveReplica:
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{
			Topic: r.topicRef(), Partition: r.int32(), From: r.Uvarint(), To: r.Uvarint()}}}
	case kindElectLeader, kindSpreadLeader:
		return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
			Topic: r.topicRef(), Partition: r.int32(), Node: r.Uvarint(), Spread: kind == kindSpreadLeader}}}
	case kindRemoveNode:
		return &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{
			Node: r.Uvarint()}}}
	case kindReplicaChanged:
		return &api.Request{Body: &api.Request_ReplicaChanged{ReplicaChanged: &api.ReplicaChangedRequest{
			Group: r.Uvarint(), Index: r.Uvarint(), Voters: r.list(), Learners: r.list()}}}
	}
	return r.access(kind)
}

// int32 reads a number; one that does not fit becomes -1, which check or a look-up
// refuses.
func (r fields) int32() int32 {
	if n := r.Uvarint(); n <= math.MaxInt32 {
		return int32(n)
	}
	return -1
}

func (r fields) topicRef() *api.TopicRef {
	return &api.TopicRef{Name: r.String(), Id: r.Uvarint()}
}

func (r fields) configs() []*api.TopicConfig {
	const leastBytes = 2
	var list []*api.TopicConfig
	for range r.Count(leastBytes) {
		list = append(list, &api.TopicConfig{Name: r.String(), Value: r.String()})
	}
	return list
}

func (r fields) names() []string {
	var list []string
	for range r.Count(1) {
		list = append(list, r.String())
	}
	return list
}

func (r fields) list() []uint64 {
	numbers := make([]uint64, r.Count(1))
	for i := range numbers {
		numbers[i] = r.Uvarint()
	}
	return numbers
}
