package meta

import (
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// appendAccess is appendFields for users and ACLs.
func appendAccess(b []byte, request *api.Request) (byte, []byte) {
	switch body := request.Body.(type) {
	case *api.Request_PutUser:
		r := body.PutUser
		b = codec.AppendBool(appendUser(b, userOf(r)), r.GetCreate())
		return kindPutUser, codec.AppendBytes(b, r.GetDecoy())
	case *api.Request_DeleteUser:
		return kindDeleteUser, codec.AppendBytes(b, body.DeleteUser.GetName())
	case *api.Request_CreateAcls:
		return kindCreateAcls, appendRules(b, rulesOf(body.CreateAcls.GetAcls()))
	case *api.Request_DeleteAcls:
		return kindDeleteAcls, appendRules(b, rulesOf(body.DeleteAcls.GetFilters()))
	}
	panic("meta: check let another request through")
}

func appendUser(b []byte, u access.User) []byte {
	b = codec.AppendBytes(codec.AppendBytes(b, u.Name), u.Salt)
	b = codec.AppendUvarint(b, uint64(u.Iterations))
	return codec.AppendBytes(codec.AppendBytes(b, u.StoredKey), u.ServerKey)
}

func rulesOf(list []*api.Acl) []access.Rule {
	var rules []access.Rule
	for _, a := range list {
		rules = append(rules, access.RuleOf(a))
	}
	return rules
}

func appendRules(b []byte, rules []access.Rule) []byte {
	b = codec.AppendUvarint(b, uint64(len(rules)))
	for _, r := range rules {
		b = appendNumbers(codec.AppendBytes(b, r.Principal), uint64(r.Operation), uint64(r.Resource))
		b = appendNumbers(codec.AppendBytes(b, r.Name), uint64(r.Pattern), uint64(r.Permission))
	}
	return b
}

// access reads the request of a kind that is about users or ACLs, or gives nil.
func (r fields) access(kind byte) *api.Request {
	switch kind {
	case kindPutUser:
		u, create, decoy := r.user(), r.Bool(), r.Bytes()
		return &api.Request{Body: &api.Request_PutUser{PutUser: &api.PutUserRequest{
			Name: u.Name, Create: create, Decoy: decoy, Credential: &api.ScramCredential{
				Salt: []byte(u.Salt), Iterations: int32(u.Iterations), StoredKey: []byte(u.StoredKey), ServerKey: []byte(u.ServerKey)}}}}
	case kindDeleteUser:
		return &api.Request{Body: &api.Request_DeleteUser{DeleteUser: &api.DeleteUserRequest{Name: r.String()}}}
	case kindCreateAcls:
		return &api.Request{Body: &api.Request_CreateAcls{CreateAcls: &api.CreateAclsRequest{Acls: acls(r.rules())}}}
	case kindDeleteAcls:
		return &api.Request{Body: &api.Request_DeleteAcls{DeleteAcls: &api.DeleteAclsRequest{Filters: acls(r.rules())}}}
	}
	return nil
}

func (r fields) user() access.User {
	return access.User{Name: r.String(), Credential: access.Credential{
		Salt: r.String(), Iterations: int(r.int32()), StoredKey: r.String(), ServerKey: r.String(),
	}}
}

func (r fields) rules() []access.Rule {
	const leastBytes = 6
	var rules []access.Rule
	for range r.Count(leastBytes) {
		rules = append(rules, access.Rule{
			Principal: r.String(), Operation: api.Acl_Operation(r.int32()), Resource: api.Acl_Resource(r.int32()),
			Name: r.String(), Pattern: api.Acl_Pattern(r.int32()), Permission: api.Acl_Permission(r.int32()),
		})
	}
	return rules
}

func acls(rules []access.Rule) []*api.Acl {
	var list []*api.Acl
	for _, r := range rules {
		list = append(list, r.Acl())
	}
	return list
}

// appendView saves users and ACLs.
func appendView(b []byte, v *access.View) []byte {
	b = codec.AppendBytes(codec.AppendUvarint(b, v.Version), v.Decoy)
	b = codec.AppendUvarint(b, uint64(len(v.Users)))
	for _, u := range v.Users {
		b = appendUser(b, u)
	}
	return appendRules(b, v.Rules)
}

// view reads users and ACLs, which ascend.
func (r *loader) view(v *access.View) {
	const leastBytes = 5
	f := fields{r.Reader}
	v.Version, v.Decoy = r.number(), r.String()
	n := r.Count(leastBytes)
	r.need(n <= access.MaxUsers)
	for range n {
		u := f.user()
		r.need(u.Check() == nil && (len(v.Users) == 0 || u.Name > v.Users[len(v.Users)-1].Name))
		if r.bad {
			return
		}
		v.Users = append(v.Users, u)
	}
	v.Rules = f.rules()
	r.need(len(v.Rules) <= access.MaxRules)
	for i, rule := range v.Rules {
		r.need(rule.Check() == nil && (i == 0 || v.Rules[i-1].Compare(rule) < 0))
	}
	changed := len(v.Users)+len(v.Rules) > 0
	r.need(v.Version > 0 || !changed && v.Decoy == "")
	r.need(len(v.Decoy) == access.KeyBytes || v.Decoy == "" && len(v.Users) == 0)
}
