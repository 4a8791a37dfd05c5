from __future__ import annotations

import json

from inline_snapshot import snapshot

from claims.fraud.signals.registry import SIGNALS
from claims.fraud.windows import WINDOWS
from claims.rules import RULES
from claims.wire import to_plain
from models import registry


def test_thresholds_change_only_together_with_the_version() -> None:
    assert to_plain(RULES) == snapshot(
        {
            "version": "3.6",
            "code": 2,
            "paper_read_confidence_min": 0.8,
            "nose_accept_similarity_min": 0.48,
            "nose_review_similarity_min": 0.37,
            "nose_accept_inliers_min": 7,
            "photo_days_before_event_max": 1,
            "subject_other_min": 0.9,
            "subject_expected_max": 0.02,
            "same_event_hours_max": 48,
            "same_event_withdrawn_max": 2,
            "credit_low_score": 425,
            "credit_low_claims_max": 2,
            "credit_low_claims_window_days": 7,
            "auto_pay_share_low_credit": 3000,
            "auto_pay_share_unscored": 6000,
            "fraud_limits": [
                {"key": "device", "window_days": 30, "claims_max": 12, "claimants_max": 2},
                {"key": "payee", "window_days": 30, "claims_max": 12, "claimants_max": 2},
                {"key": "address", "window_days": 30, "claims_max": 30, "claimants_max": 15},
                {"key": "merchant", "window_days": 7, "claims_max": 60, "claimants_max": 50},
                {"key": "claimant", "window_days": 30, "claims_max": 10, "claimants_max": 1},
            ],
            "rounds_asked_max": 2,
            "paper_accepted_required": True,
            "paper_field_confidence_min": 0.9,
            "paper_currency_required": True,
            "paper_standing_required": True,
            "hospital_name_edits_max": 1,
            "name_dots": "·•・‧∙⋅・.",
            "name_masks": "*×※●○",
            "name_mask_any_length": True,
            "photo_copied_min": 0.99,
            "photo_maybe_copied_min": 0.5,
            "photo_scene_inliers_min": 12,
            "photo_copied_tight_ratio_min": 0.75,
            "photo_copied_rigid_ratio_min": 0.9,
            "photo_copied_contained_min": 0.6,
            "photo_maybe_copied_inliers_min": 15,
            "photo_points_agree_min": 6,
            "photo_pixels_agree_min": 0.75,
            "photo_pdq_near_max_bits": 40,
            "photo_copied_fine_rigid_ratio_min": 0.75,
            "photo_copied_fine_ratio_min": 0.8,
            "photo_copied_agreement_floor_min": 0.9,
            "photo_scene_contained_max": 0.985,
            "photo_signs_noted_only": ["copy_move", "exif_dates changed_later", "recapture"],
            "nose_replay_similarity_min": 0.9,
            "nose_copied_inliers_min": 15,
            "nose_copied_rigid_ratio_min": 0.92,
            "nose_saved_again_fine_rigid_ratio_min": 0.9,
            "nose_saved_again_similarity_min": 0.965,
            "nose_pieced_alike_ratio_min": 0.2,
            "nose_pieced_unlike_ratio_min": 0.2,
            "nose_recapture_counts": True,
            "nose_low_asks": True,
            "nose_species_confidence_min": 0.96,
            "cover_recorded_minutes_max": 5,
            "same_event_other_order_minutes_max": 1,
            "same_person_window_days": 30,
            "name_titles": ["先生", "女士", "小姐", "太太"],
        }
    )


def test_store_counts_every_window_that_the_rules_judge() -> None:
    asked = {(limit.key, limit.window_days) for limit in RULES.fraud_limits}
    assert asked | {("claimant", RULES.credit_low_claims_window_days)} <= set(WINDOWS)


def test_every_signal_has_a_limit() -> None:
    assert {limit.key for limit in RULES.fraud_limits} == set(SIGNALS)


def test_nose_thresholds_are_those_its_card_states() -> None:
    assert registry.card("nose_print").metrics["thresholds"] == {
        "nose_accept_similarity_min": RULES.nose_accept_similarity_min,
        "nose_accept_inliers_min": RULES.nose_accept_inliers_min,
        "nose_review_similarity_min": RULES.nose_review_similarity_min,
    }


def test_a_photo_is_called_a_copy_from_the_cut_off_on_that_the_card_measured() -> None:
    measured = registry.card("copy_fusion").metrics
    held_out, holds = measured["held_out"], measured["cut_off_holds"]
    assert held_out["cut_off"] == RULES.photo_copied_min
    assert held_out["precision_at_fit"] >= holds["precision_min"]
    assert held_out["scale_accused"] <= holds["honest_accused_max"] * held_out["scale_honest_photos"]


def test_no_weights_say_from_where_on_a_photo_is_called_a_copy() -> None:
    content = json.loads(registry.weights_path("copy_fusion").read_text(encoding="utf-8"))
    assert set(content) == {"features", "weights", "intercept", "similar_cosine_min"}


def test_what_is_maybe_a_copy_lies_below_what_is_called_one() -> None:
    assert 0.5 <= RULES.photo_maybe_copied_min <= RULES.photo_copied_min <= 1


def test_review_band_of_the_nose_lies_below_acceptance() -> None:
    assert -1 <= RULES.nose_review_similarity_min <= RULES.nose_accept_similarity_min <= 1


def test_a_photo_sent_again_is_more_alike_than_one_that_is_accepted() -> None:
    assert RULES.nose_accept_similarity_min < RULES.nose_replay_similarity_min <= 1
