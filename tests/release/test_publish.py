"""From approvals to what a device sees."""

from release_site import Site, bundle, now

from hemaloop.release.publish import publish, status


def test_two_of_three_approvals_bring_a_model_to_a_device(site: Site) -> None:
    site.approve(1, ["anna", "chloe"])

    published = publish(site.bucket, site.online, "stable", now())

    assert (published.version, published.approved_by) == (1, ("anna", "chloe"))
    device = site.device()
    assert device.channel() == 1
    assert device.model(1) == bundle(1)
    found = status(site.bucket, now())
    assert found.channels == {"stable": 1}
    assert found.pending is None
    assert [(a.statement.person, a.statement.reason) for a in found.releases[0].approvals] == [
        ("anna", "looks good"),
        ("chloe", "looks good"),
    ]
    assert publish(site.bucket, site.online, "stable", now()) == published
