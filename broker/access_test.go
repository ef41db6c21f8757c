package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// someUser has the credential of no password.
func someUser(name string, create bool) *api.PutUserRequest {
	key := bytes.Repeat([]byte{7}, access.KeyBytes)
	return &api.PutUserRequest{Name: name, Create: create, Decoy: key, Credential: &api.ScramCredential{
		Salt: key[:16], Iterations: access.MinIterations, StoredKey: key, ServerKey: key,
	}}
}

func describeUsers() *api.Request {
	return &api.Request{Body: &api.Request_DescribeUsers{DescribeUsers: &api.DescribeUsersRequest{}}}
}

// users that a node names.
func (c *cluster) users(at env.Endpoint) string {
	var names []string
	for _, u := range c.settle(describeUsers, at).GetDescribeUsers().GetUsers() {
		names = append(names, u.GetName())
	}
	return strings.Join(names, " ")
}

// The first user is made while there is none, and only then. Every node that is asked knows
// what was done before it was asked, and so it is after all have lost power.
func TestUsersAndACLs(t *testing.T) {
	c := newCluster(t, 1, three...)
	c.waitFor("the cluster", func() bool { return len(c.metadata(three...).GetNodes()) == 3 })
	first := func(cfg *broker.Config) { cfg.FirstUser = someUser("root", false) }
	c.hosts[three[0]].Kill()
	c.start(three[0], first)
	c.waitFor("the first user", func() bool { return c.users(three[1]) == "root" })
	c.ok(func() *api.Request { return &api.Request{Body: &api.Request_PutUser{PutUser: someUser("ann", true)}} }, three...)
	rule := access.Rule{Principal: "User:ann", Operation: api.Acl_READ, Resource: api.Acl_TOPIC, Name: "t", Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_CreateAcls{CreateAcls: &api.CreateAclsRequest{Acls: []*api.Acl{rule.Acl()}}}}
	}, three...)
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteUser{DeleteUser: &api.DeleteUserRequest{Name: "root"}}}
	}, three...)
	describe := func(filter *api.Acl) func() *api.Request {
		return func() *api.Request {
			return &api.Request{Body: &api.Request_DescribeAcls{DescribeAcls: &api.DescribeAclsRequest{Filter: filter}}}
		}
	}
	check := func(when string) {
		for _, at := range three {
			if users := c.users(at); users != "ann" {
				t.Errorf("%s node %s knows the users %s", when, at, users)
			}
			if r := c.settle(describe(nil), at); fmt.Sprint(r.GetDescribeAcls().GetAcls()) != fmt.Sprint([]*api.Acl{rule.Acl()}) {
				t.Errorf("%s node %s knows the ACLs %v", when, at, r)
			}
			view := c.nodes[at].Access()
			if version, ok := c.nodes[at].AccessVersion(); !ok || version != view.Version || len(view.Users) != 1 || len(view.Rules) != 1 {
				t.Errorf("%s node %s shows %+v of version %d", when, at, view, version)
			}
		}
	}
	check("at first")
	for _, at := range three {
		c.hosts[at].Kill()
	}
	for _, at := range three {
		c.start(at, first)
	}
	c.run(5 * env.Second)
	check("after all have lost power")
	if r := c.settle(describe(&api.Acl{Name: "u"}), three[1]); len(r.GetDescribeAcls().GetAcls()) != 0 {
		t.Errorf("another topic has %v", r)
	}
	if r := c.settle(describe(&api.Acl{Operation: -1}), three[1]); r.GetError().GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("a filter that makes no sense: %v", r)
	}
}

// Nothing is said of users by who cannot know what is true now.
func TestUsersWithoutAMajority(t *testing.T) {
	c := newCluster(t, 2, three...)
	c.waitFor("three voters", func() bool {
		voters := 0
		for _, n := range c.metadata(three...).GetNodes() {
			if n.GetMetaVoter() {
				voters++
			}
		}
		return voters == 3
	})
	c.hosts[three[1]].Kill()
	c.hosts[three[2]].Kill()
	c.run(3 * env.Second)
	if r := c.ask(three[0], describeUsers()); r.GetError().GetCode() != api.Code_META_UNAVAILABLE {
		t.Errorf("without a majority: %v", r)
	}
	var confirmed *api.Error
	c.nodes[three[0]].ConfirmAccess(func(e *api.Error) { confirmed = e })
	c.run(10 * env.Second)
	if confirmed.GetCode() != api.Code_META_UNAVAILABLE {
		t.Errorf("confirmed without a majority: %v", confirmed)
	}
	c.hosts[three[0]].Kill()
	c.start(three[0], func(*broker.Config) {})
	c.nodes[three[0]].ConfirmAccess(func(e *api.Error) { confirmed = e })
	if _, ok := c.nodes[three[0]].AccessVersion(); ok || confirmed.GetCode() != api.Code_NOT_READY {
		t.Errorf("a node that has just begun says %v, and knows users: %v", confirmed, ok)
	}
}

// What a client may commit goes by the names of topics, so a name has to be that of the id.
func TestCommitsNameTheirTopics(t *testing.T) {
	c := grouped(t, 3, 1)
	nobody := &api.MembershipResponse{}
	for name, want := range map[string]api.Code{"t": api.Code_OK, "": api.Code_OK, "u": api.Code_UNKNOWN_TOPIC_OR_PARTITION} {
		at := &api.GroupPartition{TopicId: c.id("t"), Topic: name}
		if r := c.settle(committing(nobody, 3, at), three...); r.GetError().GetCode() != want {
			t.Errorf("a commit to %q: %v, want %v", name, r, want)
		}
	}
}
