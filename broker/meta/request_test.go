package meta

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
)

// tester is what a test and a rapid check have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func founded(t tester) *State {
	t.Helper()
	s, err := Found("c1", "host1:9092", []byte("token1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encode(t tester, now api.Milliseconds, request *api.Request) []byte {
	t.Helper()
	data, err := Encode(Tag{Origin: 3, Number: 4}, now, request)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// do applies a request that is to succeed.
func do(t tester, s *State, request *api.Request) *api.Response {
	t.Helper()
	out := s.Apply(encode(t, 0, request))
	if out.Response.Error != nil || out.Tag != (Tag{Origin: 3, Number: 4}) {
		t.Fatalf("%v: %v", out.Tag, out.Response.Error)
	}
	return out.Response
}

func restarted(t tester, s *State) *State {
	t.Helper()
	other, saved := New(), s.Save()
	if err := other.Restore(saved); err != nil {
		t.Fatalf("%x cannot be restored: %v", saved, err)
	}
	if again := other.Save(); !bytes.Equal(again, saved) {
		t.Fatalf("%x is saved again as %x", saved, again)
	}
	return other
}

// join makes a cluster of n nodes.
func cluster(t tester, n int) *State {
	s := founded(t)
	for i := 2; i <= n; i++ {
		do(t, s, join(fmt.Sprint("token", i), fmt.Sprintf("host%d:9092", i)))
	}
	return s
}

func join(token, address string) *api.Request {
	return &api.Request{Body: &api.Request_Join{Join: &api.JoinRequest{Token: []byte(token), Address: address}}}
}

func removeNode(node uint64) *api.Request {
	return &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: node}}}
}

func createTopic(name string, partitions, replicas int32) *api.Request {
	return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{
		Name: name, Partitions: partitions, ReplicationFactor: replicas}}}
}

func config(name, value string) *api.TopicConfig { return &api.TopicConfig{Name: name, Value: value} }

func alter(topic *api.TopicRef, set []*api.TopicConfig, unset ...string) *api.Request {
	return &api.Request{Body: &api.Request_AlterTopic{AlterTopic: &api.AlterTopicRequest{Topic: topic, Set: set, Unset: unset}}}
}

func addPartitions(topic *api.TopicRef, partitions int32) *api.Request {
	return &api.Request{Body: &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{Topic: topic, Partitions: partitions}}}
}

func move(topic string, partition int32, from, to api.NodeID) *api.Request {
	return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{
		Topic: &api.TopicRef{Name: topic}, Partition: partition, From: uint64(from), To: uint64(to)}}}
}

func initProducer(id int64, epoch int32) *api.Request {
	return &api.Request{Body: &api.Request_InitProducer{InitProducer: &api.InitProducerRequest{ProducerId: id, Epoch: epoch}}}
}

func changed(group api.GroupID, index uint64, voters, learners []uint64) *api.Request {
	return &api.Request{Body: &api.Request_ReplicaChanged{ReplicaChanged: &api.ReplicaChangedRequest{
		Group: uint64(group), Index: index, Voters: voters, Learners: learners}}}
}

// putUser gives a user the credential of no password, by a number.
func putUser(name string, n byte, create bool) *api.Request {
	key := bytes.Repeat([]byte{n}, access.KeyBytes)
	return &api.Request{Body: &api.Request_PutUser{PutUser: &api.PutUserRequest{
		Name: name, Create: create, Decoy: bytes.Repeat([]byte{0xdd}, access.KeyBytes),
		Credential: &api.ScramCredential{Salt: key[:8], Iterations: access.MinIterations, StoredKey: key, ServerKey: key},
	}}}
}

func deleteUser(name string) *api.Request {
	return &api.Request{Body: &api.Request_DeleteUser{DeleteUser: &api.DeleteUserRequest{Name: name}}}
}

// acl allows a principal to read a topic.
func acl(principal, topic string) *api.Acl {
	return &api.Acl{Principal: principal, Operation: api.Acl_READ, Resource: api.Acl_TOPIC,
		Name: topic, Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
}

func createAcls(list ...*api.Acl) *api.Request {
	return &api.Request{Body: &api.Request_CreateAcls{CreateAcls: &api.CreateAclsRequest{Acls: list}}}
}

func deleteAcls(filters ...*api.Acl) *api.Request {
	return &api.Request{Body: &api.Request_DeleteAcls{DeleteAcls: &api.DeleteAclsRequest{Filters: filters}}}
}

// arguments are those of a line of a script.
type arguments struct {
	t      tester
	values map[string]string
}

func (a arguments) number(key string) int64 {
	var n int64
	if text, ok := a.values[key]; ok {
		if _, err := fmt.Sscan(text, &n); err != nil {
			a.t.Fatalf("%s=%s: %v", key, text, err)
		}
	}
	return n
}

// configs reads NAME:VALUE,...
func (a arguments) configs(key string) []*api.TopicConfig {
	var list []*api.TopicConfig
	for _, text := range a.names(key) {
		name, value, _ := strings.Cut(text, ":")
		list = append(list, config(name, value))
	}
	return list
}

func (a arguments) names(key string) []string {
	return strings.FieldsFunc(a.values[key], func(c rune) bool { return c == ',' })
}

func (a arguments) list(key string) []uint64 {
	var list []uint64
	for _, text := range strings.FieldsFunc(a.values[key], func(c rune) bool { return c == ',' }) {
		var n uint64
		if _, err := fmt.Sscan(text, &n); err != nil {
			a.t.Fatalf("%s: %v", text, err)
		}
		list = append(list, n)
	}
	return list
}

func (a arguments) request(name string) *api.Request {
	topic := &api.TopicRef{Name: a.values["name"], Id: uint64(a.number("topic"))}
	partition, node := int32(a.number("partition")), uint64(a.number("node"))
	token, address := a.values["token"], a.values["address"]
	switch name {
	case "join":
		return join(token, address)
	case "update":
		return &api.Request{Body: &api.Request_UpdateNode{UpdateNode: &api.UpdateNodeRequest{
			NodeId: node, Token: []byte(token), Address: address}}}
	case "create":
		return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{
			Name: a.values["name"], Partitions: int32(a.number("partitions")),
			ReplicationFactor: int32(a.number("replicas")), SegmentBytes: uint64(a.number("segment")),
			Configs: a.configs("configs")}}}
	case "alter":
		return alter(topic, a.configs("set"), a.names("unset")...)
	case "add":
		return addPartitions(topic, int32(a.number("partitions")))
	case "delete":
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic}}}
	case "producer":
		return initProducer(a.number("id"), int32(a.number("epoch")))
	case "move":
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{
			Topic: topic, Partition: partition, From: uint64(a.number("from")), To: uint64(a.number("to"))}}}
	case "elect":
		return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
			Topic: topic, Partition: partition, Node: node}}}
	case "remove":
		return removeNode(node)
	case "user", "password":
		return putUser(a.values["name"], byte(a.number("salt")), name == "user")
	case "drop":
		return deleteUser(a.values["name"])
	case "allow":
		return createAcls(acl(a.values["principal"], a.values["name"]))
	case "forget":
		return deleteAcls(&api.Acl{Principal: a.values["principal"], Name: a.values["name"]})
	case "changed":
		return changed(api.GroupID(a.number("group")), uint64(a.number("index")), a.list("voters"), a.list("learners"))
	}
	a.t.Fatalf("no such command: %s", name)
	return nil
}
