package access

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wanted is what each kind of request takes, by the name of its field, with topics t and u
// and group g.
var wanted = map[string]string{
	"metadata":           "ALTER CLUSTER cluster, DESCRIBE TOPIC t, DESCRIBE TOPIC u",
	"create_topic":       "CREATE CLUSTER cluster, CREATE TOPIC t",
	"delete_topic":       "DELETE TOPIC t",
	"alter_topic":        "ALTER_CONFIGS TOPIC t",
	"add_partitions":     "ALTER TOPIC t",
	"produce":            "WRITE TOPIC t",
	"fetch":              "READ TOPIC t",
	"list_offsets":       "DESCRIBE TOPIC t",
	"describe_producers": "READ TOPIC t",
	"delete_records":     "DELETE TOPIC t",
	"init_producer":      "WRITE TOPIC some",
	"join":               "CLUSTER_ACTION CLUSTER cluster",
	"update_node":        "CLUSTER_ACTION CLUSTER cluster",
	"replica_changed":    "CLUSTER_ACTION CLUSTER cluster",
	"copy_segment":       "CLUSTER_ACTION CLUSTER cluster",
	"move_replica":       "ALTER CLUSTER cluster",
	"elect_leader":       "ALTER CLUSTER cluster",
	"remove_node":        "ALTER CLUSTER cluster",
	"describe_node":      "DESCRIBE CLUSTER cluster",
	"join_group":         "READ GROUP g, DESCRIBE TOPIC t, DESCRIBE TOPIC u",
	"beat":               "READ GROUP g",
	"leave_group":        "READ GROUP g",
	"commit_offsets":     "READ GROUP g, READ TOPIC t, READ TOPIC u",
	"fetch_offsets":      "DESCRIBE GROUP g, DESCRIBE TOPIC t",
	"reset_offsets":      "READ GROUP g, READ TOPIC t",
	"delete_group":       "DELETE GROUP g",
	"describe_group":     "DESCRIBE GROUP g",
	"list_groups":        "",
	"put_user":           "ALTER CLUSTER cluster",
	"delete_user":        "ALTER CLUSTER cluster",
	"describe_users":     "DESCRIBE CLUSTER cluster",
	"create_acls":        "ALTER CLUSTER cluster",
	"delete_acls":        "ALTER CLUSTER cluster",
	"describe_acls":      "DESCRIBE CLUSTER cluster",
}

// filled are requests whose fields are not filled by name.
func filled(field protoreflect.FieldDescriptor) *api.Request {
	offset := func(topic string) *api.GroupOffset {
		return &api.GroupOffset{Partition: &api.GroupPartition{TopicId: 1, Topic: topic}}
	}
	switch field.Name() {
	case "metadata":
		return &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{Topics: []*api.TopicRef{{Name: "t"}, {Name: "__groups"}, {Name: "u"}}}}}
	case "create_topic":
		return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{Name: "t"}}}
	case "join_group":
		return &api.Request{Body: &api.Request_JoinGroup{JoinGroup: &api.JoinGroupRequest{Group: "g", Topics: []string{"t", "u"}}}}
	case "commit_offsets":
		return &api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: &api.CommitOffsetsRequest{Group: "g", Offsets: []*api.GroupOffset{offset("t"), offset("u")}}}}
	case "fetch_offsets":
		return &api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{Group: "g", Partitions: []*api.GroupPartition{{TopicId: 1, Topic: "t"}}}}}
	case "reset_offsets":
		return &api.Request{Body: &api.Request_ResetOffsets{ResetOffsets: &api.ResetOffsetsRequest{Group: "g", Offsets: []*api.GroupOffset{offset("t")}}}}
	}
	q := &api.Request{}
	body := q.ProtoReflect().Mutable(field).Message()
	if f := body.Descriptor().Fields().ByName("topic"); f != nil {
		body.Set(f, protoreflect.ValueOfMessage((&api.TopicRef{Name: "t", Id: 7}).ProtoReflect()))
	}
	if f := body.Descriptor().Fields().ByName("group"); f != nil && f.Kind() == protoreflect.StringKind {
		body.Set(f, protoreflect.ValueOfString("g"))
	}
	return q
}

// wide are rights that leave nothing else to ask for.
var wide = map[string]Need{"create_topic": cluster(api.Acl_CREATE), "metadata": cluster(api.Acl_ALTER)}

// Every kind of request takes what the table says, and none is left out: whoever may do all
// but one thing of that is refused for the lack of it.
func TestEveryRequestHasItsNeeds(t *testing.T) {
	bodies := (&api.Request{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range bodies.Len() {
		field := bodies.Get(i)
		want, listed := wanted[string(field.Name())]
		if !listed {
			t.Errorf("%s: the table does not say what it takes", field.Name())
			continue
		}
		q := filled(field)
		var needs []Need
		Check(q, func(n Need) bool {
			needs = append(needs, n)
			return n != wide[string(field.Name())]
		})
		if got := text(needs); got != want {
			t.Errorf("%s takes %q, want %q", field.Name(), got, want)
		}
		for _, lack := range needs {
			all := wide[string(field.Name())]
			if _, ok := Check(q, func(n Need) bool { return n == all }); ok != (all != Need{}) {
				t.Errorf("%s with %v alone: %v", field.Name(), all, ok)
			}
			missing, ok := Check(q, func(n Need) bool { return n != lack && n != all })
			if ok != (lack == all) || !ok && missing != lack {
				t.Errorf("%s without %v: %v, %v", field.Name(), lack, missing, ok)
			}
			if code := lack.Error("User:x").Code.String(); !strings.HasPrefix(code, lack.Resource.String()) {
				t.Errorf("%s without %v: %s", field.Name(), lack, code)
			}
		}
	}
	if _, ok := Check(&api.Request{}, func(Need) bool { return false }); ok {
		t.Error("a request that is none needs nothing")
	}
}

func text(needs []Need) string {
	var out []string
	for _, n := range needs {
		name := n.Name
		if n.Some {
			name = "some"
		}
		out = append(out, fmt.Sprintf("%v %v %s", n.Operation, n.Resource, name))
	}
	return strings.Join(out, ", ")
}

// Who names a topic by its id alone is denied, whatever ACLs there are: they go by names.
func TestIDsAreNoNames(t *testing.T) {
	x := NewIndex([]Rule{{"User:x", api.Acl_ALL_OPERATIONS, api.Acl_TOPIC, Any, api.Acl_LITERAL, api.Acl_ALLOW}})
	q := &api.Request{Body: &api.Request_Fetch{Fetch: &api.FetchRequest{Topic: &api.TopicRef{Id: 7}}}}
	missing, ok := Check(q, func(n Need) bool { return x.Allows("User:x", n) })
	if ok || !strings.Contains(missing.Error("User:x").Message, "name") {
		t.Errorf("%v, %v", ok, missing.Error("User:x"))
	}
}

// Lists show what may be described, and the answer that was given stays as it was.
func TestFilterLeavesOut(t *testing.T) {
	may := func(n Need) bool { return n.Operation == api.Acl_DESCRIBE && n.Name == "mine" }
	for _, r := range []*api.Response{
		{Id: 1, Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{
			ClusterId: "c", NodeId: 2, MetaLeader: 3, Nodes: []*api.NodeInfo{{Id: 2}},
			Topics: []*api.TopicInfo{{Name: "other"}, {Name: "mine"}, {Name: "__groups"}}}}},
		{Id: 2, Body: &api.Response_ListGroups{ListGroups: &api.ListGroupsResponse{Groups: []*api.GroupSummary{{Group: "other"}, {Group: "mine"}}}}},
		{Id: 3, Body: &api.Response_FetchOffsets{FetchOffsets: &api.FetchOffsetsResponse{Offsets: []*api.GroupOffset{
			{Partition: &api.GroupPartition{Topic: "other"}}, {Partition: &api.GroupPartition{Topic: "mine"}}, {Partition: &api.GroupPartition{}}}}}},
	} {
		before := proto.CloneOf(r)
		got := Filter(r, may)
		if !proto.Equal(r, before) {
			t.Errorf("%v has become %v", before, r)
		}
		if text := fmt.Sprint(got); strings.Contains(text, "other") || !strings.Contains(text, "mine") {
			t.Errorf("%v is shown as %v", r, got)
		}
		if all := Filter(r, func(Need) bool { return true }); !proto.Equal(all, before) {
			t.Errorf("who may describe all is shown %v of %v", all, before)
		}
	}
	moves := func(n Need) bool { return n == cluster(api.Acl_ALTER) }
	m := &api.Response{Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{Topics: []*api.TopicInfo{{Name: "other"}}}}}
	if len(Filter(m, moves).GetMetadata().Topics) != 1 {
		t.Error("who may move replicas is not shown all that a node has")
	}
	named := &api.Response{Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{Topics: []*api.TopicInfo{{Name: "__groups"}}}}}
	if len(Filter(named, may).GetMetadata().Topics) != 1 {
		t.Error("nobody finds the coordinators")
	}
}

func TestUsers(t *testing.T) {
	good := User{"alice", Credential{strings.Repeat("s", 16), MinIterations, strings.Repeat("k", KeyBytes), strings.Repeat("v", KeyBytes)}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*User){
		"no name":         func(u *User) { u.Name = "" },
		"a space":         func(u *User) { u.Name = "a b" },
		"a long name":     func(u *User) { u.Name = strings.Repeat("x", MaxUserBytes+1) },
		"few iterations":  func(u *User) { u.Iterations = MinIterations - 1 },
		"many iterations": func(u *User) { u.Iterations = MaxIterations + 1 },
		"a short salt":    func(u *User) { u.Salt = "s" },
		"a long salt":     func(u *User) { u.Salt = strings.Repeat("s", maxSaltBytes+1) },
		"no stored key":   func(u *User) { u.StoredKey = "" },
		"a short key":     func(u *User) { u.ServerKey = "v" },
	} {
		u := good
		spoil(&u)
		if u.Check() == nil {
			t.Errorf("%s is fine", what)
		}
	}
	decoy := Decoy("secret", "nobody")
	if err := (User{"nobody", decoy}).Check(); err != nil || decoy != Decoy("secret", "nobody") {
		t.Errorf("a decoy is to look like a user, always the same: %v", err)
	}
	for _, other := range []Credential{Decoy("secret", "somebody"), Decoy("another", "nobody")} {
		if slices.Contains([]string{other.Salt, other.StoredKey, other.ServerKey}, decoy.Salt) || other.Salt == decoy.Salt {
			t.Error("two decoys share a salt")
		}
	}
}
