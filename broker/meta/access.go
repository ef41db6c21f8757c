package meta

import (
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
)

// Access is users and ACLs. What it holds is never changed, so it may be kept.
func (s *State) Access() access.View { return s.access }

func checkPutUser(r *api.PutUserRequest) *api.Error {
	if len(r.GetDecoy()) != access.KeyBytes {
		return api.Errorf(api.Code_INVALID_REQUEST, "a user comes with a decoy of %d random bytes, not %d", access.KeyBytes, len(r.GetDecoy()))
	}
	return userOf(r).Check()
}

func userOf(r *api.PutUserRequest) access.User {
	c := r.GetCredential()
	return access.User{Name: r.GetName(), Credential: access.Credential{
		Salt: string(c.GetSalt()), Iterations: int(c.GetIterations()),
		StoredKey: string(c.GetStoredKey()), ServerKey: string(c.GetServerKey()),
	}}
}

func checkAcls(list []*api.Acl, check func(access.Rule) *api.Error) *api.Error {
	if len(list) < 1 || len(list) > access.MaxAtOnce {
		return api.Errorf(api.Code_INVALID_REQUEST, "a request has 1 to %d ACLs, not %d", access.MaxAtOnce, len(list))
	}
	for _, a := range list {
		if err := check(access.RuleOf(a)); err != nil {
			return err
		}
	}
	return nil
}

// putUser makes a user, or gives one that is there another password.
func (s *State) putUser(r *api.PutUserRequest) *api.Response {
	users := s.access.Users
	i, there := s.findUser(r.Name)
	switch {
	case there && r.Create:
		return refuse(api.Code_USER_ALREADY_EXISTS, "user %s exists already; give it another password with user alter", quote(r.Name))
	case !there && !r.Create:
		return refuseUser(r.Name)
	case there:
		users = slices.Clone(users)
		users[i] = userOf(r)
	case len(users) >= access.MaxUsers:
		return refuse(api.Code_INVALID_REQUEST, "the cluster has %d users, which is the most; delete one first", len(users))
	default:
		users = slices.Insert(slices.Clone(users), i, userOf(r))
	}
	if s.access.Decoy == "" {
		s.access.Decoy = string(r.Decoy)
	}
	s.access.Users = users
	s.access.Version++
	return &api.Response{Body: &api.Response_PutUser{PutUser: &api.PutUserResponse{}}}
}

// deleteUser deletes a user. Its ACLs stay: they are of a name, as in Kafka.
func (s *State) deleteUser(r *api.DeleteUserRequest) *api.Response {
	i, there := s.findUser(r.Name)
	if !there {
		return refuseUser(r.Name)
	}
	s.access.Users = slices.Delete(slices.Clone(s.access.Users), i, i+1)
	s.access.Version++
	return &api.Response{Body: &api.Response_DeleteUser{DeleteUser: &api.DeleteUserResponse{}}}
}

func (s *State) findUser(name string) (int, bool) {
	return slices.BinarySearchFunc(s.access.Users, name, func(u access.User, name string) int { return strings.Compare(u.Name, name) })
}

func refuseUser(name string) *api.Response {
	return refuse(api.Code_UNKNOWN_USER, "there is no user %s, or no longer; see user list", quote(name))
}

// createAcls adds all that are not there yet, or none.
func (s *State) createAcls(r *api.CreateAclsRequest) *api.Response {
	rules := slices.Clone(s.access.Rules)
	for _, a := range r.Acls {
		rule := access.RuleOf(a)
		if i, there := slices.BinarySearchFunc(rules, rule, access.Rule.Compare); !there {
			rules = slices.Insert(rules, i, rule)
		}
	}
	if len(rules) > access.MaxRules {
		return refuse(api.Code_INVALID_REQUEST, "the cluster has %d ACLs of at most %d; delete some, or use prefixes", len(s.access.Rules), access.MaxRules)
	}
	s.putRules(rules)
	return &api.Response{Body: &api.Response_CreateAcls{CreateAcls: &api.CreateAclsResponse{}}}
}

// deleteAcls deletes what any filter fits.
func (s *State) deleteAcls(r *api.DeleteAclsRequest) *api.Response {
	out := &api.DeleteAclsResponse{}
	s.putRules(slices.DeleteFunc(slices.Clone(s.access.Rules), func(rule access.Rule) bool {
		fits := slices.ContainsFunc(r.Filters, func(f *api.Acl) bool { return access.RuleOf(f).Fits(rule) })
		if fits {
			out.Deleted = append(out.Deleted, rule.Acl())
		}
		return fits
	}))
	return &api.Response{Body: &api.Response_DeleteAcls{DeleteAcls: out}}
}

// putRules takes rules in the place of those that are there, of which they are more or fewer.
func (s *State) putRules(rules []access.Rule) {
	if len(rules) != len(s.access.Rules) {
		s.access.Rules = rules
		s.access.Version++
	}
}
