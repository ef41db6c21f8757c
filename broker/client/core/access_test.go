package core_test

import (
	"regexp"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
)

// denied has every node deny what is about a topic: at the look-up of what is not known
// yet, or at the request itself.
func denied(s *scene, code api.Code) {
	s.script(func(_ api.NodeID, q *api.Request) (*api.Response, bool) {
		if q.GetInitProducer() != nil {
			return nil, false
		}
		return failed(code), true
	})
}

// A denial is final: it is not asked for again, and whoever waited for the look-up of the
// topic is told. What is allowed later is done.
func TestDenialsEndOperations(t *testing.T) {
	for _, code := range []api.Code{api.Code_TOPIC_AUTHORIZATION_FAILED, api.Code_SASL_AUTHENTICATION_FAILED} {
		for name, work := range map[string]func(s *scene, done func(core.Result)){
			"produce":      func(s *scene, done func(core.Result)) { s.send(core.Idempotent, "a", done) },
			"fetch":        func(s *scene, done func(core.Result)) { s.client.Fetch("t", 0, 0, core.FetchOptions{}, done) },
			"list offsets": func(s *scene, done func(core.Result)) { s.client.ListOffsets("t", 0, 0, 0, done) },
			"metadata": func(s *scene, done func(core.Result)) {
				s.client.Metadata(&api.MetadataRequest{Topics: []*api.TopicRef{{Name: "t"}}}, 0, done)
			},
		} {
			s := newScene(t, core.Config{})
			for round := range 2 { // in the second the topic is known
				denied(s, code)
				begun := s.world.Now()
				var took env.Time
				r := s.await(func(done func(core.Result)) {
					work(s, func(r core.Result) {
						took = s.world.Now() - begun
						done(r)
					})
				})
				s.expect(r, code, true)
				if n := len(s.requests); n > 3 || took > env.Second {
					t.Errorf("%s, round %d: denied after %d requests, in %d ms", name, round, n, took/env.Millisecond)
				}
				s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return nil, false })
				s.expect(s.await(func(done func(core.Result)) { work(s, done) }), api.Code_OK, true)
				s.requests = nil
			}
			denied(s, code)
			fetch := func(done func(core.Result)) { s.client.Fetch("no such", 0, 0, core.FetchOptions{}, done) }
			s.expect(s.await(fetch), code, true)
			s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return nil, false })
			s.expect(s.await(fetch), api.Code_UNKNOWN_TOPIC_OR_PARTITION, true)
			if s.client.Pending() != 0 {
				t.Errorf("%s: %d pending", name, s.client.Pending())
			}
		}
	}
}

// Requests about users and ACLs go to the leader of meta; what makes no sense goes nowhere.
func TestAccessRequests(t *testing.T) {
	s := newScene(t, core.Config{})
	s.world.LeadMeta(2)
	answers := []*api.Response{
		{Body: &api.Response_PutUser{PutUser: &api.PutUserResponse{}}},
		{Body: &api.Response_DeleteUser{DeleteUser: &api.DeleteUserResponse{}}},
		{Body: &api.Response_DescribeUsers{DescribeUsers: &api.DescribeUsersResponse{}}},
		{Body: &api.Response_CreateAcls{CreateAcls: &api.CreateAclsResponse{}}},
		{Body: &api.Response_DeleteAcls{DeleteAcls: &api.DeleteAclsResponse{}}},
		{Body: &api.Response_DescribeAcls{DescribeAcls: &api.DescribeAclsResponse{}}},
	}
	good := &api.Acl{Principal: "User:x", Operation: api.Acl_READ, Resource: api.Acl_TOPIC, Name: "t", Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
	bad := &api.Acl{Principal: "User:\xff"}
	for i, start := range []func(user string, acl *api.Acl, done func(core.Result)){
		func(user string, _ *api.Acl, done func(core.Result)) {
			s.client.PutUser(&api.PutUserRequest{Name: user}, 0, done)
		},
		func(user string, _ *api.Acl, done func(core.Result)) { s.client.DeleteUser(user, 0, done) },
		func(_ string, _ *api.Acl, done func(core.Result)) { s.client.DescribeUsers(0, done) },
		func(_ string, acl *api.Acl, done func(core.Result)) { s.client.CreateAcls([]*api.Acl{acl}, 0, done) },
		func(_ string, acl *api.Acl, done func(core.Result)) { s.client.DeleteAcls([]*api.Acl{acl}, 0, done) },
		func(_ string, acl *api.Acl, done func(core.Result)) { s.client.DescribeAcls(acl, 0, done) },
	} {
		s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return answers[i], true })
		s.expect(s.await(func(done func(core.Result)) { start("ann", good, done) }), api.Code_OK, true)
		// The answer to another question is none.
		s.requests = nil
		s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return answers[(i+1)%len(answers)], true })
		if r := s.await(func(done func(core.Result)) { start("ann", good, done) }); r.Err == nil {
			t.Errorf("question %d takes another's answer", i)
		}
		if i == 2 {
			continue // nothing can be wrong with it
		}
		s.requests = nil
		s.expect(s.await(func(done func(core.Result)) { start("a\xff", bad, done) }), api.Code_INVALID_REQUEST, true)
		if len(s.requests) != 0 {
			t.Errorf("what makes no sense is sent: %v", s.requests)
		}
	}
}

// To make a user is not tried again after a doubt; to give one a password is.
func TestUserInDoubt(t *testing.T) {
	for create, want := range map[bool]api.Code{true: api.Code_LEADERSHIP_LOST, false: api.Code_OK} {
		s := newScene(t, core.Config{})
		asked := 0
		s.script(func(api.NodeID, *api.Request) (*api.Response, bool) {
			if asked++; asked == 1 {
				return failed(api.Code_LEADERSHIP_LOST), true
			}
			return &api.Response{Body: &api.Response_PutUser{PutUser: &api.PutUserResponse{}}}, true
		})
		r := s.await(func(done func(core.Result)) {
			s.client.PutUser(&api.PutUserRequest{Name: "ann", Create: create}, 0, done)
		})
		s.expect(r, want, want == api.Code_OK)
	}
}

// Who subscribes to a pattern and is let in nowhere is told.
func TestPatternIsDenied(t *testing.T) {
	s := withGroups(t)
	denied(s, api.Code_SASL_AUTHENTICATION_FAILED)
	r := s.subscribe(core.ConsumerOptions{Pattern: regexp.MustCompile("^t")})
	if r.poll(1, env.Second); r.err.GetCode() != api.Code_SASL_AUTHENTICATION_FAILED {
		t.Errorf("the poll ends with %v", r.err)
	}
	if n := len(s.requests); n > 20 {
		t.Errorf("%d requests in a second", n)
	}
	s.script(func(api.NodeID, *api.Request) (*api.Response, bool) { return nil, false })
	s.run(env.Second)
	r.expectStory("assigned t/0@0", "assigned t/1@0", "assigned t/2@0")
}
