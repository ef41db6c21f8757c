package sim

import (
	"math"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
)

// badGroup draws a request about consumer groups. Whoever coordinates the group refuses it for
// what is wrong; others, for they do not coordinate it.
func badGroup(draw func(uint64, int64) int64) (*api.Request, string) {
	absurd := uint64(pick[int64](draw, drawReplica, 1<<40, math.MaxInt64))
	what := pick(draw, drawPeer, "a group with a bad name", "an absurd session", "no name of a topic", "an unknown assignor",
		"a beat of an unknown member", "a commit of an unknown member", "a commit below 0", "a reset below -1", "a shard that is none")
	join := &api.JoinGroupRequest{
		Shard: shard(), Group: groupName, SessionMs: 10_000, RebalanceMs: 10_000, Topics: []string{"log"}, Token: []byte("malformed"),
	}
	q := &api.Request{Body: &api.Request_JoinGroup{JoinGroup: join}}
	below := func(n int64) []*api.GroupOffset {
		return []*api.GroupOffset{{Partition: &api.GroupPartition{TopicId: 1}, Offset: n}}
	}
	switch what {
	case "a group with a bad name":
		join.Group = pick(draw, drawReplica, "", strings.Repeat("x", 300))
	case "an absurd session":
		join.SessionMs = pick[int64](draw, drawReplica, 0, -1, math.MinInt64, math.MaxInt64)
	case "no name of a topic":
		join.Topics = []string{pick(draw, drawReplica, "", strings.Repeat("x", 300))}
	case "an unknown assignor":
		join.Assignor = pick[api.Assignor](draw, drawReplica, -1, 99, math.MaxInt32)
	case "a beat of an unknown member":
		q.Body = &api.Request_Beat{Beat: &api.BeatRequest{Shard: shard(), Group: groupName, Member: absurd, Epoch: absurd}}
	case "a commit of an unknown member":
		q.Body = &api.Request_CommitOffsets{CommitOffsets: &api.CommitOffsetsRequest{
			Shard: shard(), Group: groupName, Member: absurd, Epoch: absurd, Offsets: below(0)}}
	case "a commit below 0":
		q.Body = &api.Request_CommitOffsets{CommitOffsets: &api.CommitOffsetsRequest{
			Shard: shard(), Group: groupName, Offsets: below(pick[int64](draw, drawReplica, -1, math.MinInt64))}}
	case "a reset below -1":
		q.Body = &api.Request_ResetOffsets{ResetOffsets: &api.ResetOffsetsRequest{
			Shard: shard(), Group: groupName, Offsets: below(pick[int64](draw, drawReplica, -2, math.MinInt64))}}
	default:
		join.Shard = &api.TopicRef{Name: pick(draw, drawReplica, "", "nowhere", "../../x")}
	}
	return q, "of a group, " + what
}

// badAccess draws a request about users and ACLs.
func badAccess(draw func(uint64, int64) int64) (*api.Request, string) {
	what := pick(draw, drawPeer, "a user with a bad name", "a user without a password", "a password that took no time",
		"an unknown user to delete", "no ACL", "an ACL for nobody", "an ACL of any operation", "an ACL of an unknown kind", "a filter of an unknown kind")
	q := &api.Request{}
	switch what {
	case "a user with a bad name", "a user without a password", "a password that took no time":
		key := []byte(strings.Repeat("k", 32))
		user := &api.PutUserRequest{Name: "malformed", Create: true, Decoy: key, Credential: &api.ScramCredential{
			Salt: key[:16], Iterations: 4096, StoredKey: key, ServerKey: key}}
		switch what {
		case "a user with a bad name":
			user.Name = pick(draw, drawReplica, "", "a b", "ä", "a\n", strings.Repeat("x", 300))
		case "a user without a password":
			user.Credential = nil
		default:
			user.Credential.Iterations = pick[int32](draw, drawReplica, 0, 1, -1, math.MinInt32, math.MaxInt32)
		}
		q.Body = &api.Request_PutUser{PutUser: user}
	case "an unknown user to delete":
		q.Body = &api.Request_DeleteUser{DeleteUser: &api.DeleteUserRequest{Name: pick(draw, drawReplica, "nobody", "")}}
	default:
		rule := &api.Acl{Principal: "User:malformed", Operation: api.Acl_READ, Resource: api.Acl_TOPIC, Name: "t",
			Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
		list := []*api.Acl{rule}
		switch what {
		case "no ACL":
			list = nil
		case "an ACL for nobody":
			rule.Principal = pick(draw, drawReplica, "", "malformed", "User:")
		case "an ACL of any operation":
			rule.Operation = api.Acl_ANY_OPERATION
		default:
			rule.Resource = pick[api.Acl_Resource](draw, drawReplica, -1, 99)
		}
		q.Body = &api.Request_CreateAcls{CreateAcls: &api.CreateAclsRequest{Acls: list}}
		if what == "a filter of an unknown kind" {
			q.Body = &api.Request_DeleteAcls{DeleteAcls: &api.DeleteAclsRequest{Filters: list}}
		}
	}
	return q, what
}

// badConfig draws a request about what a topic is like.
func badConfig(draw func(uint64, int64) int64, topic *api.TopicRef) (*api.Request, string) {
	what := pick(draw, drawPeer, "an unknown config", "an absurd value of a config", "an unknown config to unset",
		"an absurd number of partitions to have", "the producers of an absurd partition", "the producers of an unknown topic")
	alter := &api.AlterTopicRequest{Topic: topic}
	q := &api.Request{Body: &api.Request_AlterTopic{AlterTopic: alter}}
	producers := &api.DescribeProducersRequest{Topic: topic}
	switch what {
	case "an unknown config":
		alter.Set = []*api.TopicConfig{{Name: pick(draw, drawReplica, "", "retention", "cleanup.policy"), Value: "1"}}
	case "an absurd value of a config":
		alter.Set = []*api.TopicConfig{{
			Name:  pick(draw, drawNode, "retention.ms", "retention.bytes", "segment.bytes", "max.message.bytes"),
			Value: pick(draw, drawReplica, "", "x", "-2", "1e3", "99999999999999999999"),
		}}
	case "an unknown config to unset":
		alter.Unset = []string{"retention"}
	case "an absurd number of partitions to have":
		q.Body = &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{
			Topic: topic, Partitions: pick[int32](draw, drawReplica, 0, -1, math.MinInt32, math.MaxInt32)}}
	case "the producers of an absurd partition":
		producers.Partition = pick[int32](draw, drawReplica, -1, math.MinInt32, math.MaxInt32)
		q.Body = &api.Request_DescribeProducers{DescribeProducers: producers}
	default:
		producers.Topic = &api.TopicRef{Name: pick(draw, drawReplica, "", "nowhere", "../../x")}
		q.Body = &api.Request_DescribeProducers{DescribeProducers: producers}
	}
	return q, what
}
