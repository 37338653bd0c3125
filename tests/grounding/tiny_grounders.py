"""Folders of the real classes of transformers with few, random weights: plumbing, no quality.

Constraints that their code has and their configurations do not say: Grounding DINO normalises
groups of 32 channels and shares the heads of two decoder layers; SAM 2 needs a hidden size that its
memory channels divide (pointers are split by the ratio) and no global attention in the first block
of a stage.
"""

from __future__ import annotations

import json
from pathlib import Path

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "dog", "cat", "red", "star",
         "##s", "d", "o", "g", "##o", "##g")  # fmt: skip


def write_grounding_dino(folder: Path, *, mm: bool = False) -> Path:
    """Grounding DINO, or MM-Grounding-DINO: Swin and BERT of a few channels."""
    import torch
    from transformers import (
        AutoConfig,
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        MMGroundingDinoConfig,
        MMGroundingDinoForObjectDetection,
    )

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    swin = AutoConfig.for_model(
        "swin", image_size=64, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 1], window_size=4,
        out_indices=[1, 2, 3],
    )  # fmt: skip
    bert = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=256,
    )  # fmt: skip
    settings = {
        "backbone_config": swin, "text_config": bert, "d_model": 32, "encoder_layers": 1,
        "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 6, "num_feature_levels": 3,
        "max_text_len": 32, "disable_custom_kernels": True,
    }  # fmt: skip
    torch.manual_seed(0)
    if mm:
        MMGroundingDinoForObjectDetection(MMGroundingDinoConfig(**settings)).save_pretrained(folder)
    else:
        GroundingDinoForObjectDetection(GroundingDinoConfig(**settings)).save_pretrained(folder)
    pictures = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    GroundingDinoProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def write_owlv2(folder: Path) -> Path:
    """OWLv2: CLIP of a few channels."""
    import torch
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
        Owlv2TextConfig,
        Owlv2VisionConfig,
    )

    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(97, 123)]
    # A query whose first token is number 0 counts as none.
    tokens = ["!", *letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = Owlv2TextConfig(
        vocab_size=len(tokens), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=16, pad_token_id=0,
        bos_token_id=len(tokens) - 2, eos_token_id=len(tokens) - 1,
    )  # fmt: skip
    vision = Owlv2VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    config = Owlv2Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16
    )
    torch.manual_seed(0)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="!",
        model_max_length=16,
    )  # fmt: skip
    pictures = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    Owlv2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder


def write_florence(folder: Path) -> Path:
    """Florence-2: DaViT and BART of a few channels, and words with all 1,000 locations."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BartConfig,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        Florence2VisionConfig,
        PreTrainedTokenizerFast,
    )

    folder.mkdir(parents=True)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "dog", "Locate", "the", "phrases", "in", "caption:"]
    words = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    tokenizer.add_tokens([f"<loc_{number}>" for number in range(1000)])
    vision = Florence2VisionConfig(
        depths=(1, 1), patch_size=(7, 3), patch_stride=(4, 2), patch_padding=(3, 1),
        patch_prenorm=(False, True), embed_dim=(8, 16), num_heads=(1, 2), num_groups=(1, 2),
        window_size=4, projection_dim=16, drop_path_rate=0.0,
    )  # fmt: skip
    text = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_position_embeddings=400, forced_eos_token_id=None,
    )  # fmt: skip
    config = Florence2Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(),
        image_token_id=tokenizer.get_vocab()["<image>"],
    )  # fmt: skip
    torch.manual_seed(0)
    model = Florence2ForConditionalGeneration(config)
    with torch.no_grad():
        # What it writes are mostly locations, and another one at every place.
        weights = model.state_dict()
        weights["model.language_model.shared.weight"][len(tokens) + 1 :] *= 30
        weights["model.language_model.decoder.embed_positions.weight"] *= 1000
    model.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    # 4 x 4 patches of 32 pixels, and their mean.
    vars(pictures)["image_seq_length"] = 17
    Florence2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder


def write_sam2_video(folder: Path, *, edgetam: bool = False) -> Path:
    """SAM 2 for video at 128 pixels: Hiera of four stages, memory of 64 channels. With `edgetam`
    EdgeTAM on the same backbone (its own, RepViT of timm, has no small form)."""
    import torch
    from transformers import (
        EdgeTamVideoConfig,
        EdgeTamVideoModel,
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )

    settings = {
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1,
                "image_size": [128, 128], "blocks_per_stage": [1, 1, 1, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 1, 1],
                "window_size_per_stage": [4, 4, 4, 4], "global_attention_blocks": [],
                "window_positional_embedding_background_size": [4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 128,
        },
        "prompt_encoder_config": {"hidden_size": 128, "image_size": 128, "patch_size": 16},
        "mask_decoder_config": {
            "hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
        },
        "image_size": 128, "memory_attention_hidden_size": 128, "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [8, 8], "memory_encoder_hidden_size": 128,
        "memory_encoder_output_channels": 64, "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128, "memory_fuser_intermediate_dim": 32, "num_maskmem": 3,
        "max_object_pointers_in_encoder": 4,
    }  # fmt: skip
    torch.manual_seed(0)
    if edgetam:
        config = EdgeTamVideoConfig(
            **settings, memory_attention_mlp_hidden_size=32, memory_attention_rope_k_sizes=[4, 4],
            perceiver_resampler_num_latents=16, perceiver_resampler_num_latents_2d=16,
            perceiver_resampler_mlp_intermediate_size=32, perceiver_resampler_num_layers=1,
        )  # fmt: skip
        EdgeTamVideoModel(config).save_pretrained(folder)
    else:
        config = Sam2VideoConfig(**settings, memory_attention_feed_forward_hidden_size=32)
        Sam2VideoModel(config).save_pretrained(folder)
    size = {"height": 128, "width": 128}
    Sam2VideoProcessor(
        Sam2ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size), target_size=128
    ).save_pretrained(folder)
    return folder


def write_sam3_video(folder: Path) -> Path:
    """SAM 3 for video at 112 pixels: detector by text, tracker, both of a few channels."""
    import torch
    from transformers import (
        CLIPTokenizer,
        Sam3Config,
        Sam3ImageProcessor,
        Sam3TrackerVideoConfig,
        Sam3VideoConfig,
        Sam3VideoModel,
        Sam3VideoProcessor,
        Sam3VisionConfig,
    )
    from transformers.models.sam2_video.video_processing_sam2_video import Sam2VideoVideoProcessor

    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(97, 123)]
    tokens = ["!", *letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    vision = Sam3VisionConfig(
        backbone_config={
            "model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 112, "patch_size": 14,
            "window_size": 4, "global_attn_indexes": [1], "pretrain_image_size": 56,
        },
        fpn_hidden_size=128, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )  # fmt: skip
    small = {"hidden_size": 128, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    detector = Sam3Config(
        vision_config=vision.to_dict(),
        text_config={
            "model_type": "clip_text_model", "vocab_size": len(tokens), "hidden_size": 16,
            "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "max_position_embeddings": 32, "projection_dim": 16, "bos_token_id": len(tokens) - 2,
            "eos_token_id": len(tokens) - 1, "pad_token_id": 0,
        },
        geometry_encoder_config=small, detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 4},
        mask_decoder_config={"hidden_size": 128, "num_attention_heads": 2},
    )  # fmt: skip
    tracker = Sam3TrackerVideoConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config={"hidden_size": 128, "image_size": 112, "patch_size": 14},
        mask_decoder_config={
            "hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
        },
        memory_attention_hidden_size=128, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[8, 8],
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128, memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32, num_maskmem=3, max_object_pointers_in_encoder=4,
    )  # fmt: skip
    config = Sam3VideoConfig(
        detector_config=detector.to_dict(), tracker_config={**tracker.to_dict(), "image_size": 112},
        low_res_mask_size=32, score_threshold_detection=0.0, new_det_thresh=0.0, hotstart_delay=2,
        hotstart_unmatch_thresh=2, hotstart_dup_thresh=2, fill_hole_area=0,
    )  # fmt: skip
    torch.manual_seed(0)
    Sam3VideoModel(config).save_pretrained(folder)
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="!", model_max_length=32
    )
    size = {"height": 112, "width": 112}
    Sam3VideoProcessor(
        Sam3ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size), tokenizer,
        target_size=112,
    ).save_pretrained(folder)  # fmt: skip
    return folder
