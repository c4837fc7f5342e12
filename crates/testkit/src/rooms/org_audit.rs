//! The audit of an organization, which no operation writes by itself: it must tell all that happened to its settings.

use std::collections::BTreeMap;

use dogwatch_core::Actor;
use dogwatch_core::component::ListComponents;
use dogwatch_core::incident::ListLimit;
use dogwatch_core::integration::ListIntegrations;
use dogwatch_core::org_audit::{ListOrgAudit, OrgAuditView, SettingView};
use dogwatch_core::status_page::{ListMaintenances, ListStatusPages};
use dogwatch_core::team::ListTeam;

use crate::run::Run;

impl Run<'_> {
    /// Follows the audit from its beginning: each entry goes on where the last one of its target ended, and in the end there is what is there.
    pub(super) fn compare_org_audit(&self, actor: &Actor) {
        let mut query = ListOrgAudit { limit: ListLimit::new(37).unwrap_or_default(), cursor: None };
        let mut entries: Vec<OrgAuditView> = Vec::new();
        loop {
            let found = self.subject().query(&query, actor).unwrap();
            entries.extend(found.entries);
            match found.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        assert!(entries.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
        let mut now: BTreeMap<(&str, &str), &SettingView> = BTreeMap::new();
        for entry in entries.iter().rev() {
            let target = (entry.target.kind, entry.target.id.as_str());
            assert_eq!(now.get(&target).copied(), entry.before.as_ref(), "{entry:#?}");
            assert_ne!(entry.before, entry.after, "{entry:#?}");
            match &entry.after {
                Some(after) => drop(now.insert(target, after)),
                None => drop(now.remove(&target)),
            }
        }
        let of = |kind: &str| -> Vec<SettingView> {
            now.iter().filter(|((other, _), _)| *other == kind).map(|(_, setting)| (*setting).clone()).collect()
        };
        let team = self.subject().query(&ListTeam, actor).unwrap();
        let mut members: Vec<_> = team.members.into_iter().map(|it| SettingView::Member(Box::new(it))).collect();
        let mut components: Vec<_> = self.subject().query(&ListComponents, actor).unwrap();
        let id = |setting: &SettingView| match setting {
            SettingView::Member(it) => it.id.to_string(),
            other => panic!("{other:?}"),
        };
        members.sort_by_key(id);
        components.sort_by_key(|it| it.id);
        assert_eq!(of("member"), members);
        let components: Vec<_> = components.into_iter().map(|it| SettingView::Component(Box::new(it))).collect();
        assert_eq!(of("component"), components);
        assert_eq!(of("invitation").len(), team.invitations.len());
        let pages = self.subject().query(&ListStatusPages, actor).unwrap();
        let listed = |page| self.subject().query(&ListMaintenances::new(page), actor).unwrap();
        let mut maintenances: Vec<_> = pages.iter().flat_map(|page| listed(page.id)).collect();
        maintenances.sort_by_key(|it| it.id);
        let pages: Vec<_> = pages.into_iter().map(|it| SettingView::StatusPage(Box::new(it))).collect();
        assert_eq!(of("statusPage"), pages);
        let maintenances: Vec<_> = maintenances.into_iter().map(|it| SettingView::Maintenance(Box::new(it))).collect();
        assert_eq!(of("maintenance"), maintenances);
        let mut integrations: Vec<_> = self.subject().query(&ListIntegrations, actor).unwrap();
        integrations.sort_by_key(|it| it.setting.id);
        let integrations: Vec<_> =
            integrations.into_iter().map(|it| SettingView::Integration(Box::new(it.setting))).collect();
        assert_eq!(of("integration"), integrations);
    }
}
