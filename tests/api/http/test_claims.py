from __future__ import annotations

from tests.api.http.world import Api, register, submit


def test_a_claim_with_a_photo_is_taken_in(api: Api) -> None:
    register(api)
    claim = submit(api)
    answer = api.as_("claimant", "clm-a").get(f"/v1/claims/{claim['id']}")
    print(answer.text)
    assert answer.status_code == 200
