package meta

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
	"google.golang.org/protobuf/proto"
)

// everyKind has a request of each kind.
func everyKind() []*api.Request {
	topic := &api.TopicRef{Name: "t", Id: 1}
	return []*api.Request{
		{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{
			Name: "t", Partitions: 2, ReplicationFactor: 1, SegmentBytes: 1 << 20,
			Configs: []*api.TopicConfig{config("retention.ms", "5000"), config("retention.bytes", "-1")}}}},
		join("b", "h:2"),
		{Body: &api.Request_UpdateNode{UpdateNode: &api.UpdateNodeRequest{NodeId: 2, Token: []byte("b"), Address: "h:3"}}},
		initProducer(0, 0),
		initProducer(1, 0),
		{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic, Partition: 1, From: 1, To: 2}}},
		{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic, Node: 1, Spread: true}}},
		{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic, Node: 1}}},
		{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: &api.TopicRef{}, Node: 1}}},
		changed(2, 300, []uint64{1}, []uint64{2}),
		join("c", "h:4"),
		removeNode(3),
		alter(topic, []*api.TopicConfig{config("max.message.bytes", "1024")}, "retention.bytes"),
		addPartitions(topic, 3),
		putUser("bob", 1, true),
		putUser("eve", 2, true),
		putUser("bob", 3, false),
		deleteUser("eve"),
		createAcls(acl("User:bob", "t"), acl("User:*", "u"), acl("User:eve", "v")),
		deleteAcls(&api.Acl{Principal: "User:eve"}),
		{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic}}},
	}
}

// What putUser gives, in hexadecimal.
var (
	salt1, salt2, salt3 = "08" + strings.Repeat("01", 8), "08" + strings.Repeat("02", 8), "08" + strings.Repeat("03", 8)
	key1, key2, key3    = "20" + strings.Repeat("01", 32), "20" + strings.Repeat("02", 32), "20" + strings.Repeat("03", 32)
	decoy               = "20" + strings.Repeat("dd", 32)
)

// The bytes stand in logs: a change here is a change of the format.
func TestGoldenCommands(t *testing.T) {
	want := []string{
		"0101030407" + "0174" + "020180804" + "0" +
			"02" + "0c726574656e74696f6e2e6d73" + "0435303030" + "0f726574656e74696f6e2e6279746573" + "022d31" + "00",
		"0104030407" + "0162" + "03683a32",
		"0105030407" + "02" + "0162" + "03683a33",
		"0103030407" + "0000",
		"0103030407" + "0100",
		"0106030407" + "017401" + "010102",
		"013e030407" + "017401" + "0001",
		"0107030407" + "017401" + "0001",
		"0107030407" + "0000" + "0001",
		"0109030407" + "02" + "ac02" + "0101" + "0102",
		"0104030407" + "0163" + "03683a34",
		"0108030407" + "03",
		"013c030407" + "017401" + "01" + "116d61782e6d6573736167652e6279746573" + "0431303234" + "01" + "0f726574656e74696f6e2e6279746573",
		"013d030407" + "017401" + "03" + "00",
		"0146030407" + "03626f62" + salt1 + "8020" + key1 + key1 + "01" + decoy,
		"0146030407" + "03657665" + salt2 + "8020" + key2 + key2 + "01" + decoy,
		"0146030407" + "03626f62" + salt3 + "8020" + key3 + key3 + "00" + decoy,
		"0147030407" + "03657665",
		"0148030407" + "03" + "08557365723a626f62" + "0201" + "0174" + "0101" +
			"06557365723a2a" + "0201" + "0175" + "0101" + "08557365723a657665" + "0201" + "0176" + "0101",
		"0149030407" + "01" + "08557365723a657665" + "0000" + "00" + "0000",
		"0102030407" + "017401",
	}
	for i, request := range everyKind() {
		data := encode(t, 7, request)
		if got := hex.EncodeToString(data); got != want[i] {
			t.Errorf("%T is\n%s, want\n%s", request.Body, got, want[i])
		}
		back, err := decode(data)
		if err != nil || !proto.Equal(back.request, request) || back.head.Now != 7 || back.head.Tag != (Tag{Origin: 3, Number: 4}) {
			t.Errorf("%T is decoded as %v, %v", request.Body, back, err)
		}
	}
}

// example is a state of which each part has something to say.
func example(t tester) *State {
	s := founded(t)
	requests := everyKind()
	for _, request := range requests[:len(requests)-1] {
		do(t, s, request)
	}
	return s
}

// The bytes stand in state frames: a change here is a change of the format.
func TestGoldenState(t *testing.T) {
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"unfounded", New().Save(), "03" + "00" + "00" + "0000" + "00000000" + "0000" + "00" + "00" + "0000" + "00000000"},
		{"founded", founded(t).Save(), "03" + "026331" + "80808020" + "0000" + "01000000" + "0000" +
			"01" + "010a686f7374313a39303932" + "06746f6b656e31" + "01" + "00" + "0000" + "00000000"},
		{"example", example(t).Save(), "03" + "026331" + "80808020" + "0000" + "03010301" + "0100" +
			"03" + "010a686f7374313a39303932" + "06746f6b656e31" + "01" +
			"0203683a33" + "0162" + "00" +
			"0303683a34" + "0163" + "02" +
			"01" + "010174" + "808040" + "02" + "03" + "008108" + "028927" + "03818040" + "03" +
			"010100" + "0101" + "01" + "010104" +
			"0202ac02" + "0101" + "02" + "010102" + "020201" +
			"030100" + "0101" + "01" + "010100" +
			"0001" + "010001" +
			"06" + decoy + "01" + "03626f62" + salt3 + "8020" + key3 + key3 +
			"02" + "06557365723a2a" + "0201" + "0175" + "0101" + "08557365723a626f62" + "0201" + "0174" + "0101"},
	} {
		if got := hex.EncodeToString(test.got); got != test.want {
			t.Errorf("%s is\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, request := range []*api.Request{
		nil,
		{},
		{Body: &api.Request_Produce{}},
		{Body: &api.Request_CreateTopic{}},
		{Body: &api.Request_DeleteTopic{}},
		{Body: &api.Request_AlterTopic{}},
		{Body: &api.Request_AddPartitions{}},
		alter(nil, []*api.TopicConfig{config("retention.ms", "1")}),
		{Body: &api.Request_Join{}},
		{Body: &api.Request_UpdateNode{}},
		{Body: &api.Request_MoveReplica{}},
		{Body: &api.Request_ReplicaChanged{}},
		{Body: &api.Request_PutUser{}},
		{Body: &api.Request_DeleteUser{}},
		{Body: &api.Request_CreateAcls{}},
		{Body: &api.Request_DeleteAcls{}},
		{Body: &api.Request_DescribeUsers{}},
		putUser("a b", 1, true),
		createAcls(&api.Acl{}),
		createAcls(make([]*api.Acl, access.MaxAtOnce+1)...),
		deleteAcls(&api.Acl{Operation: -1}),
		createTopic(strings.Repeat("x", maxNameBytes+1), 1, 1),
		join(strings.Repeat("x", maxTokenBytes+1), "h:1"),
		join("x", strings.Repeat("h", maxAddressBytes+1)),
		changed(0, 1, make([]uint64, MaxNodes+1), nil),
		{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{
			Topic: &api.TopicRef{Name: strings.Repeat("x", maxNameBytes+1), Id: 1}}}},
	} {
		if data, err := Encode(Tag{}, 0, request); err == nil || data != nil || err.Message == "" {
			t.Errorf("%v is encoded as %x", request, data)
		}
	}
}

func TestFoundRefuses(t *testing.T) {
	for _, found := range []func() (*State, *api.Error){
		func() (*State, *api.Error) { return Found("", "h:1", []byte("t"), 0) },
		func() (*State, *api.Error) { return Found(strings.Repeat("c", 65), "h:1", []byte("t"), 0) },
		func() (*State, *api.Error) { return Found("c", "", []byte("t"), 0) },
		func() (*State, *api.Error) { return Found("c", "h:1", nil, 0) },
		func() (*State, *api.Error) { return Found("c", "h:1", []byte("t"), 1) },
	} {
		if s, err := found(); s != nil || err == nil {
			t.Errorf("founded %v", s)
		}
	}
}

// What is no command is answered, if only with an error, and changes nothing.
func TestApplyRefuses(t *testing.T) {
	head := func(kind byte) []byte {
		return command.Append(nil, command.Head{Kind: kind, Tag: Tag{Origin: 3, Number: 4}})
	}
	s := example(t)
	before := s.Save()
	if out := s.Apply(nil); out.Response != nil {
		t.Errorf("an empty entry is answered %v", out.Response)
	}
	for name, data := range map[string][]byte{
		"no head":            {9},
		"another version":    append([]byte{2}, encode(t, 0, removeNode(2))[1:]...),
		"another kind":       head(10),
		"cut short":          head(kindRemoveNode),
		"left over":          append(encode(t, 0, removeNode(2)), 0),
		"a count beyond all": codec.AppendUvarint(append(head(kindReplicaChanged), 0, 9), math.MaxUint64),
		"a bad name":         append(head(kindCreateTopic), 1, '/', 1, 1, 0, 0, 0),
		"too many":           codec.AppendUvarint(append(head(kindCreateTopic), 1, 'x'), 1<<32+1),
	} {
		out := s.Apply(data)
		if out.Response.GetError() == nil {
			t.Errorf("%s: answered %v", name, out.Response)
		}
	}
	if !bytes.Equal(s.Save(), before) {
		t.Error("the state changed")
	}
}

func TestFullCluster(t *testing.T) {
	s := cluster(t, MaxNodes)
	if r := s.Apply(encode(t, 0, join("one more", "h:1"))).Response; r.Error.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("node %d joins: %v", MaxNodes+1, r)
	}
	for _, name := range strings.Split("a b c d e f g h i j", " ") {
		do(t, s, createTopic(name, MaxPartitionsOfTopic, 1))
	}
	if r := s.Apply(encode(t, 0, createTopic("k", 1, 1))).Response; r.Error.GetCode() != api.Code_INVALID_PARTITIONS {
		t.Errorf("partition %d is made: %v", MaxPartitions+1, r)
	}
	restarted(t, s)
	if r := s.Apply(encode(t, 0, removeNode(1))).Response; len(r.Error.GetMessage()) > 200 {
		t.Errorf("a long message: %s", r.Error.Message)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := example(t)
	saved := s.Save()
	for n := range saved {
		if err := s.Restore(saved[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("the first %d bytes are accepted: %v", n, err)
		}
	}
	if err := s.Restore(append(bytes.Clone(saved), 0)); !errors.Is(err, ErrState) {
		t.Error("bytes left over are accepted")
	}
	if !bytes.Equal(s.Save(), saved) {
		t.Error("a refused state left a trace")
	}
}

// Each of these would be a broken invariant once it was in the state.
func TestRestoreRefusesWhatCannotBe(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*State)
	}{
		{"no cluster id", func(s *State) { s.cluster = "" }},
		{"no default of segment bytes", func(s *State) { s.segmentBytes = 0 }},
		{"a number that may overflow", func(s *State) { s.lastTopic = maxNumber + 1 }},
		{"a node that was not given out", func(s *State) { s.lastNode = 1 }},
		{"a node twice", func(s *State) { s.nodes[1].ID = 1 }},
		{"a token twice", func(s *State) { s.nodes[1].token = s.nodes[0].token }},
		{"no address", func(s *State) { s.nodes[1].Address = "" }},
		{"no node that stays", func(s *State) { s.nodes[0].Removing, s.nodes[1].Removing = true, true }},
		{"a preferred leader that is not there", func(s *State) { s.preferred = 9 }},
		{"a topic that was not given out", func(s *State) { s.lastTopic = 0 }},
		{"a bad name", func(s *State) { s.topics[0].Name = ".." }},
		{"a topic twice", func(s *State) { s.topics = append(s.topics, s.topics[0]) }},
		{"a topic without partitions", func(s *State) { s.topics[0].Partitions = nil }},
		{"segments of no size", func(s *State) { s.topics[0].SegmentBytes = 0 }},
		{"a config out of range", func(s *State) { s.topics[0].configs.values[RetentionTime] = 0 }},
		{"a group that was not given out", func(s *State) { s.lastGroup = 1 }},
		{"group 0", func(s *State) { s.topics[0].Partitions[0].Group = 0 }},
		{"a group twice", func(s *State) { s.topics[0].Partitions[1].Group = 1 }},
		{"no founder", func(s *State) { s.topics[0].Partitions[0].Founders = nil }},
		{"a founder that was never there", func(s *State) { s.topics[0].Partitions[0].Founders[0] = 9 }},
		{"more founders than replicas given out", func(s *State) { s.topics[0].Partitions[0].Founders = []api.NodeID{1, 2} }},
		{"no replica", func(s *State) { s.topics[0].Partitions[0].Replicas = nil }},
		{"no replica that stays", func(s *State) { s.topics[0].Partitions[0].Replicas[0].Removing = true }},
		{"a replica on no node", func(s *State) { s.topics[0].Partitions[0].Replicas[0].Node = 9 }},
		{"two replicas on a node", func(s *State) { s.topics[0].Partitions[1].Replicas[0].Node = 2 }},
		{"a replica twice", func(s *State) { s.topics[0].Partitions[1].Replicas[0].ID = 2 }},
		{"an elected leader that is not first", func(s *State) { s.topics[0].Partitions[1].Replicas[1].Elected = true }},
		{"a replica that was not given out", func(s *State) { s.topics[0].Partitions[0].Replicas[0].ID = 2 }},
		{"a producer that was not given out", func(s *State) { s.lastProducer = 0 }},
		{"a producer of epoch 0", func(s *State) { *s.producers.Get(1) = 0 }},
		{"users that nobody made", func(s *State) { s.access.Version = 0 }},
		{"a user without a key", func(s *State) { s.access.Users[0].StoredKey = "" }},
		{"a user twice", func(s *State) { s.access.Users = append(s.access.Users, s.access.Users[0]) }},
		{"users without a decoy", func(s *State) { s.access.Decoy = "" }},
		{"an ACL of nobody", func(s *State) { s.access.Rules[0].Principal = "" }},
		{"an ACL twice", func(s *State) { s.access.Rules[1] = s.access.Rules[0] }},
		{"ACLs out of order", func(s *State) { slices.Reverse(s.access.Rules) }},
	} {
		s := example(t)
		test.spoil(s)
		if err := New().Restore(s.Save()); !errors.Is(err, ErrState) {
			t.Errorf("%s is accepted: %v", test.name, err)
		}
	}
}

// FuzzApply cuts its input into entries, and holds a replica that starts again after
// each against one that lives.
func FuzzApply(f *testing.F) {
	var history []byte
	for _, request := range everyKind() {
		history = codec.AppendBytes(history, encode(f, 9, request))
	}
	f.Add(history)
	f.Add([]byte{0, 1, 1})
	f.Fuzz(func(t *testing.T, history []byte) {
		live, saved := founded(t), founded(t)
		for r := codec.NewReader(history); r.Len() > 0; {
			entry := r.Bytes()
			out, other := live.Apply(entry), saved.Apply(entry)
			if out.Tag != other.Tag || !proto.Equal(out.Response, other.Response) {
				t.Fatalf("%x: %v, and started again %v", entry, out, other)
			}
			saved = restarted(t, saved)
		}
		if !bytes.Equal(live.Save(), saved.Save()) {
			t.Fatalf("%x, and started again %x", live.Save(), saved.Save())
		}
	})
}

// FuzzRestore holds that a state has one encoding only, and that no bytes lead to a
// state in which a command panics.
func FuzzRestore(f *testing.F) {
	f.Add(New().Save())
	f.Add(example(f).Save())
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New()
		if s.Restore(data) != nil {
			return
		}
		if again := s.Save(); !bytes.Equal(again, data) {
			t.Fatalf("%x is saved again as %x", data, again)
		}
		for _, request := range everyKind() {
			s.Apply(encode(t, 0, request))
		}
		restarted(t, s)
	})
}
