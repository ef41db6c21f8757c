package meta

import (
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
)

// Bounds of what a command carries.
const (
	maxNameBytes    = 249 // as in Kafka
	maxTokenBytes   = 64
	maxAddressBytes = 255
	maxClusterBytes = 64
)

// check refuses what is wrong whatever the state is. It runs before a command is
// encoded, so that no log carries it, and again when it is applied.
func check(request *api.Request) *api.Error {
	switch body := request.GetBody().(type) {
	case *api.Request_CreateTopic:
		return checkCreateTopic(body.CreateTopic)
	case *api.Request_DeleteTopic:
		return checkTopicRef(body.DeleteTopic.GetTopic())
	case *api.Request_AlterTopic:
		return checkAlterTopic(body.AlterTopic)
	case *api.Request_AddPartitions:
		return checkAddPartitions(body.AddPartitions)
	case *api.Request_InitProducer:
		return checkInitProducer(body.InitProducer)
	case *api.Request_Join:
		return checkIdentity(body.Join.GetToken(), body.Join.GetAddress())
	case *api.Request_UpdateNode:
		return checkIdentity(body.UpdateNode.GetToken(), body.UpdateNode.GetAddress())
	case *api.Request_MoveReplica:
		return checkMoveReplica(body.MoveReplica)
	case *api.Request_ElectLeader:
		if isMeta(body.ElectLeader.GetTopic()) {
			return nil
		}
		return checkTopicRef(body.ElectLeader.GetTopic())
	case *api.Request_RemoveNode:
		return nil
	case *api.Request_ReplicaChanged:
		return checkReplicaChanged(body.ReplicaChanged)
	case *api.Request_PutUser:
		return checkPutUser(body.PutUser)
	case *api.Request_DeleteUser:
		return access.CheckUserName(body.DeleteUser.GetName())
	case *api.Request_CreateAcls:
		return checkAcls(body.CreateAcls.GetAcls(), access.Rule.Check)
	case *api.Request_DeleteAcls:
		return checkAcls(body.DeleteAcls.GetFilters(), access.Rule.CheckFilter)
	}
	return api.Errorf(api.Code_INVALID_REQUEST, "the request is none that the meta group answers")
}

func checkCreateTopic(r *api.CreateTopicRequest) *api.Error {
	switch {
	case !validName(r.GetName()):
		return api.Errorf(api.Code_INVALID_TOPIC_NAME,
			"%s cannot name a topic; use 1 to %d of the characters a-z A-Z 0-9 . _ - but not . or .. alone",
			quote(r.GetName()), maxNameBytes)
	case r.GetPartitions() < 1 || r.GetPartitions() > MaxPartitionsOfTopic:
		return api.Errorf(api.Code_INVALID_PARTITIONS,
			"a topic has 1 to %d partitions, not %d", MaxPartitionsOfTopic, r.GetPartitions())
	case r.GetReplicationFactor() < 0 || r.GetReplicationFactor() > MaxReplicas:
		return api.Errorf(api.Code_INVALID_REPLICATION_FACTOR,
			"a partition has 1 to %d replicas, not %d; 0 takes the default", MaxReplicas, r.GetReplicationFactor())
	}
	if r.GetName() == api.GroupsTopic && len(r.GetConfigs()) > 0 {
		return api.Errorf(api.Code_INVALID_CONFIG,
			"topic %s holds the consumer groups, and no config of records means anything to it", api.GroupsTopic)
	}
	if err := checkConfigs(r.GetConfigs()); err != nil || r.GetSegmentBytes() == 0 {
		return err
	}
	if slices.ContainsFunc(r.GetConfigs(), func(c *api.TopicConfig) bool { return c.GetName() == kinds[SegmentBytes].name }) {
		return api.Errorf(api.Code_INVALID_CONFIG, "the size of segments is given twice, as %d and as a config; give one", r.GetSegmentBytes())
	}
	return checkSegmentBytes(r.GetSegmentBytes())
}

func checkAddPartitions(r *api.AddPartitionsRequest) *api.Error {
	if r.GetPartitions() < 1 || r.GetPartitions() > MaxPartitionsOfTopic {
		return api.Errorf(api.Code_INVALID_PARTITIONS,
			"a topic has 1 to %d partitions, not %d", MaxPartitionsOfTopic, r.GetPartitions())
	}
	return checkTopicRef(r.GetTopic())
}

func checkSegmentBytes(n uint64) *api.Error {
	if n < MinSegmentBytes || n > MaxSegmentBytes {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"segments have %d to %d bytes, not %d; 0 takes the default", MinSegmentBytes, MaxSegmentBytes, n)
	}
	return nil
}

// validName reports whether a topic may have the name. It also stands in the way
// of names that mean something to a file system.
func validName(name string) bool {
	if name == "" || len(name) > maxNameBytes || name == "." || name == ".." {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func checkTopicRef(ref *api.TopicRef) *api.Error {
	if ref.GetId() == 0 && !validName(ref.GetName()) || len(ref.GetName()) > maxNameBytes {
		return unknownTopic(ref)
	}
	return nil
}

func checkInitProducer(r *api.InitProducerRequest) *api.Error {
	if r.GetProducerId() < 0 || r.GetEpoch() < 0 || r.GetEpoch() > math.MaxInt16 ||
		r.GetProducerId() == 0 && r.GetEpoch() != 0 {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"producer %d has no epoch %d; send 0 and 0 for a new id, or an id and its epoch of 0 to %d",
			r.GetProducerId(), r.GetEpoch(), math.MaxInt16)
	}
	return nil
}

// checkIdentity checks what a node says of itself. An address is printable ASCII:
// whether it can be reached is not for a state machine to find out.
func checkIdentity(token []byte, address string) *api.Error {
	if len(token) < 1 || len(token) > maxTokenBytes {
		return api.Errorf(api.Code_INVALID_REQUEST, "a node's token has 1 to %d bytes, not %d", maxTokenBytes, len(token))
	}
	ok := len(address) >= 1 && len(address) <= maxAddressBytes
	for i := 0; ok && i < len(address); i++ {
		ok = address[i] > ' ' && address[i] <= '~'
	}
	if !ok {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"%s is no address of a node; give HOST:PORT of at most %d bytes", quote(address), maxAddressBytes)
	}
	return nil
}

func checkMoveReplica(r *api.MoveReplicaRequest) *api.Error {
	if r.GetFrom() == 0 && r.GetTo() == 0 {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"a replica moves from a node to another; give two nodes, 0 for one of them to only add or only remove, or one node twice to renew its replica")
	}
	return checkTopicRef(r.GetTopic())
}

func checkReplicaChanged(r *api.ReplicaChangedRequest) *api.Error {
	if len(r.GetVoters()) < 1 || len(r.GetVoters()) > MaxNodes || len(r.GetLearners()) > MaxNodes {
		return api.Errorf(api.Code_INVALID_REQUEST,
			"no configuration has %d voters and %d learners", len(r.GetVoters()), len(r.GetLearners()))
	}
	return nil
}
